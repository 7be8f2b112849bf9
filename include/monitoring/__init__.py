"""Drift, data quality and the decision to retrain. Pure."""
