"""The demo: what it plays, how it is played, and the report of it."""
