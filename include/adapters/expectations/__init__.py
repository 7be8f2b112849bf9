"""Rules held by Great Expectations."""
