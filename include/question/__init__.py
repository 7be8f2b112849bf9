"""Whom a model is asked about, from what, and about what: population, matrix, labels. Pure."""
