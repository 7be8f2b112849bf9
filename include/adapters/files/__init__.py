"""Tables in files outside the lake: parquet and CSV."""
