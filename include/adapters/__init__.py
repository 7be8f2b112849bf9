"""I/O only: one module per system that is read or written."""
