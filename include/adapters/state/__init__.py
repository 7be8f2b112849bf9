"""Our relational state, in PostgreSQL."""
