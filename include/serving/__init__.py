"""The online service: models that answer over HTTP, without Airflow, Feast or MLflow in the process."""
