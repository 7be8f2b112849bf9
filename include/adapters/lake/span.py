"""A stretch of time as conditions on a lake table's files.

What belongs here: which files a span can't leave out. What does not: reading them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

# Column, operator and value or values, of a partition column or of one with statistics.
FileFilter: TypeAlias = tuple[str, str, str | list[str] | datetime]

_ROUNDING = timedelta(milliseconds=1)
_DAWN = datetime.min.replace(tzinfo=UTC) + _ROUNDING
_DUSK = datetime.max.replace(tzinfo=UTC) - _ROUNDING


@dataclass(frozen=True)
class Span:
    """Values of a timestamp column, both bounds included; None where it has no bound."""

    column: str
    start: datetime | None
    end: datetime | None

    def filters(self) -> list[FileFilter]:
        """Return the span as conditions on files, a little wider: statistics may be rounded to milliseconds."""
        found: list[FileFilter] = []
        if self.start is not None and self.start > _DAWN:
            found.append((self.column, ">=", self.start - _ROUNDING))
        if self.end is not None and self.end < _DUSK:
            found.append((self.column, "<=", self.end + _ROUNDING))
        return found
