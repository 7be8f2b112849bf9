"""Pages beside Airflow's own, behind Airflow's log-in."""
