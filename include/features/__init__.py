"""Feature groups: one SQL statement each, and the judgement of what it returned.

What belongs here: definitions of features and pure checks of their rows. What does not: I/O, and the
engine that runs the SQL.
"""
