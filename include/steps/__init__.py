"""One module per step: read once, compute, write once, return a reference."""
