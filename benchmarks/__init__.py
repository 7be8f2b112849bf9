"""Benchmarks: the project and its peers, side by side in one run."""
