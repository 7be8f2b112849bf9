"""Triggers: what the sensors wait on, in the triggerer."""
