"""A shop whose truth is known: who buys when, what is in a basket, what goes wrong. Pure."""
