"""Whom a model is asked about: a condition over the columns of a feature group.

What belongs here: the statement that asks each row. What does not: reading rows, and running it.
"""

from __future__ import annotations

# What the statement calls the rows, and its answer of each.
ROWS, ASKED = "inputs", "asked"


def population_statement(condition: str) -> str:
    """Return the SELECT that says of each row, in their order, whether a condition holds; where it is null it does not.

    Parameters
    ----------
    condition : str
        DuckDB dialect, as ``population:`` of a model.
    """
    # The line break ends a comment that the condition may end with.
    return f"SELECT CASE WHEN ({condition}\n) THEN true ELSE false END AS {ASKED} FROM {ROWS}"
