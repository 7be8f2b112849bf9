"""Online stores behind one seam: SQLite, PostgreSQL, Redis."""
