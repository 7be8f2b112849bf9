"""What this project asks of an online store, beside what Feast asks.

What belongs here: the seam that SQLite, PostgreSQL and Redis implement. What does not: how each does it, and the values
that a read passes through it (``stored_columns``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import pyarrow as pa
from feast import FeatureView
from feast.repo_config import RepoConfig

from include.adapters.online.keys import KeyPart
from include.adapters.online.stored_columns import Fetch, ViewColumns

# Called with the number of rows that were just written.
Progress: TypeAlias = Callable[[int], object]


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
