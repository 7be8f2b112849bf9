"""Quoting for SQL that is built from names and words.

What belongs here: identifiers and literals of DuckDB's dialect. What does not: statements.
"""

from __future__ import annotations

from collections.abc import Sequence


def column(name: str) -> str:
    """Return an identifier, quoted for SQL.

    Examples
    --------
    >>> column('unit "net" price')
    '"unit ""net"" price"'
    """
    return '"' + name.replace('"', '""') + '"'


def columns(names: Sequence[str]) -> str:
    """Return identifiers as a quoted list."""
    return ", ".join(map(column, names))


def literal(text: str) -> str:
    """Return a text, quoted for SQL.

    Examples
    --------
    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
