"""Operators: one step or one adapter call each."""
