"""Engines of feature SQL behind one seam: DuckDB, Spark."""
