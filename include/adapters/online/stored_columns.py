"""What a read asks a store for, and what comes back, whichever store it is.

What belongs here: the values that pass between a store and a reader. What does not: asking a store (its own module),
and what a stored value means to a reader (``reading``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

import pyarrow as pa

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class ViewColumns:
    """Which columns of a view are read, and what is known of them.

    Attributes
    ----------
    view : str
        What the store calls it: its name, with its version where Feast counts versions.
    join_keys : tuple of str
        What it is keyed by, all strings.
    dtypes : mapping of str to pyarrow.DataType
        Its features that are read, in order.
    ttl : timedelta or None
        How long a value serves; None for ever.
    """

    view: str
    join_keys: tuple[str, ...]
    dtypes: Mapping[str, pa.DataType]
    ttl: timedelta | None

    @property
    def ttl_us(self) -> int | None:
        """Microseconds that a value serves; Feast's "no ttl" is none or zero."""
        return self.ttl // _MICROSECOND if self.ttl else None

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(self.dtypes)


@dataclass(slots=True)
class StoredColumn:
    """One feature of some keys, in their order, as a store holds it.

    Attributes
    ----------
    values : list of bytes or None
        Serialised values: empty for a known null, None where nothing is stored.
    event_us, created_us : list of int or None
        Event and created times, microseconds since 1970; None where nothing is stored, and where a store
        knows no created time.
    """

    values: list[bytes | None] = field(default_factory=list)
    event_us: list[int | None] = field(default_factory=list)
    created_us: list[int | None] = field(default_factory=list)

    @classmethod
    def of_nothing(cls, count: int) -> StoredColumn:
        """Return the column of `count` keys that nothing is stored for."""
        return cls([None] * count, [None] * count, [None] * count)


# From distinct serialised keys to columns: per view in the order asked, per feature in its order.
Fetch: TypeAlias = Callable[[Sequence[bytes]], list[list[StoredColumn]]]
