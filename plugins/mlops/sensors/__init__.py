"""Sensors: deferrable waits."""
