"""The embedded default: PostgreSQL and Airflow as processes of one machine."""
