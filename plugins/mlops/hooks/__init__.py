"""Hooks: an Airflow connection becomes an adapter."""
