"""Gates and lifecycle moves. Pure: the ledger's rules, not its storage."""
