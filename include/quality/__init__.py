"""Rules on data: which rows are taken, and why one is not. Pure."""
