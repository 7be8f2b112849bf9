"""The `mlops` command: the same steps that the DAGs call."""
