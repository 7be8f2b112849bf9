"""A history whose rows are chained by hash: what a row's hash is, and what is wrong with a history.

What belongs here: one model's rows of one history, as values. What does not: where rows are kept, and the heads of
chains that are kept outside.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]

SEQ = "seq"
PREVIOUS, OWN = "previous_sha256", "row_sha256"
# What the first row follows.
NOTHING = "0" * 64


@dataclass(frozen=True)
class Break:
    """A row that is not as it was written, or is not where it was written, and why."""

    seq: int
    what: str


def row_sha256(row: Row) -> str:
    """Return the hash of a row over its content, the hash of the row before it included.

    Its own hash is left out, and so is what is null: a column that is added later leaves earlier hashes as they are.

    Examples
    --------
    >>> row_sha256({"seq": 1, "auc": 1.0, "note": None}) == row_sha256({"auc": 1, "seq": 1})
    True
    >>> row_sha256({"seq": 1, "auc": 1.0}) == row_sha256({"seq": 1, "auc": 1.1})
    False
    """
    content = {name: _plain(value) for name, value in row.items() if name != OWN and value is not None}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def find_breaks(rows: Sequence[Row], heads: Mapping[int, str]) -> list[Break]:
    """Return what is wrong with a history, one line for each row, in order; nothing where it is whole.

    Parameters
    ----------
    rows : sequence of Row
        One model's rows, which count from 1 by ``seq``.
    heads : mapping of int to str
        The hashes of rows as they were kept outside, by ``seq``: whoever cuts the newest rows, or writes the whole
        history anew, would have to change these too.
    """
    known = {row[SEQ]: row for row in rows}
    last = max([*known, *heads], default=0)
    found: dict[int, str] = {}
    for seq in range(1, last + 1):
        row, head = known.get(seq), heads.get(seq)
        # What is wrong with the row before is said of that one.
        before = known[seq - 1][OWN] if seq > 1 and seq - 1 not in found else None
        what = _absent(head) if row is None else _changed(row, last) or _misplaced(row, before) or _renewed(row, head)
        if what is not None:
            found[seq] = what
    return [Break(seq, what) for seq, what in found.items()]


def _absent(head: str | None) -> str:
    return "is missing" if head is None else f"is missing; the head that was kept outside is {head[:12]}…"


def _changed(row: Row, last: int) -> str | None:
    if (found := row_sha256(row)) == row[OWN]:
        return None
    # One more than there are: others may have moved up into the place of one that was removed.
    origin = next((seq for seq in range(1, last + 2) if row_sha256({**row, SEQ: seq}) == row[OWN]), None)
    if origin is not None:
        return f"was written as row {origin}: the rows were put in another order"
    return f"was changed: its content has sha256 {found[:12]}…, it was written with {row[OWN][:12]}…"


def _misplaced(row: Row, before: str | None) -> str | None:
    before = NOTHING if row[SEQ] == 1 else before
    if before is None or row[PREVIOUS] == before:
        return None
    return (
        f"was written after a row with sha256 {row[PREVIOUS][:12]}…, the row before it has {before[:12]}…: that one "
        "was put in another's place"
    )


def _renewed(row: Row, head: str | None) -> str | None:
    if head is None or head == row[OWN]:
        return None
    return f"was written anew: it has sha256 {row[OWN][:12]}…, the head that was kept outside is {head[:12]}…"


def _plain(value: Any) -> Any:
    """Return a value as JSON that is the same before a database has kept it and after."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        # PostgreSQL gives 1e22 back as a whole number.
        return float(value) if float(value) == value else value
    return value
