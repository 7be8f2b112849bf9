"""Whom a model is asked about: a condition over the columns of a feature group.

What belongs here: the statement that applies the condition. What does not: reading rows, and running it.
"""

from __future__ import annotations

# What the statement calls the rows.
ROWS = "inputs"


def population_statement(condition: str) -> str:
    """Return the SELECT of the rows that a condition holds for; where it is null it does not.

    Parameters
    ----------
    condition : str
        DuckDB dialect, as ``population:`` of a model.
    """
    # The line break ends a comment that the condition may end with.
    return f"SELECT * FROM {ROWS} WHERE ({condition}\n)"
