"""MLflow: runs, versions, their files."""
