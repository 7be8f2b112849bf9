"""Everything the DAGs and the command line call; it never imports airflow."""
