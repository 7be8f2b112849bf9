"""What this project asks of an online store, beside what Feast asks.

What belongs here: the seam that SQLite, PostgreSQL and Redis implement, and the values that pass through it. What
does not: how each does it, and what a stored value means to a reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import pyarrow as pa
from feast import FeatureView
from feast.repo_config import RepoConfig

from include.adapters.online.keys import KeyPart

# Called with the number of rows that were just written.
Progress: TypeAlias = Callable[[int], object]


@dataclass(frozen=True)
class ViewColumns:
    """Which columns of a view are read."""

    view: FeatureView
    features: tuple[str, ...]


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


class GuardedOnlineStore(Protocol):
    """An online store whose rows only a newer or equally old (event, created) time replaces."""

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: pa.Table, progress: Progress | None) -> None:
        """Write a table's rows, its columns named as the view's source and features, any number of versions a key."""

    def prepare_read(self, config: RepoConfig, wanted: Sequence[ViewColumns]) -> Fetch:
        """Open what reading needs and return the read: one round trip for all views and keys."""

    def find_keys(self, config: RepoConfig, views: Sequence[FeatureView], part: KeyPart) -> list[bytes]:
        """Return the serialised keys with this part, of all rows of views that have its join keys; all are read."""

    def forget(self, config: RepoConfig, views: Sequence[FeatureView], keys: Sequence[bytes]) -> dict[str, int]:
        """Delete serialised keys' rows of all views; return per view of how many keys there was one."""
