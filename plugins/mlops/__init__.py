"""Airflow classes around this project's adapters and steps; importable as `mlops.*`."""
