"""Writing to the online stores that keep one table row per feature: SQLite and PostgreSQL.

What belongs here: what both do with a batch before it becomes statements. What does not: the statements, the guard.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.online_store import OnlineStore
from feast.repo_config import RepoConfig
from feast.utils import _convert_arrow_to_proto

from include.adapters.online.keys import KeyPart
from include.adapters.online.online_store import Progress
from include.adapters.online.rows import EncodedRows, Message, encode_messages, encode_rows


class GuardedTables(OnlineStore):  # type: ignore[misc]
    """What a guarded SQL store does beside its statements; stands before Feast's own store among the bases.

    Attributes
    ----------
    rows_per_chunk : int
        Rows of one transaction.
    """

    rows_per_chunk: ClassVar[int]

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: pa.Table, progress: Progress | None) -> None:
        """Write a table's rows, `rows_per_chunk` a transaction."""
        if self._has_more_columns(config, view):
            keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
            super().online_write_batch(
                config, view, _convert_arrow_to_proto(rows.combine_chunks(), view, keys), progress
            )
            return
        self._write(
            config,
            view,
            encode_rows(view, rows, size=self.rows_per_chunk, in_key_order=True, with_texts=True),
            progress,
        )

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Message],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write Feast's rows as `write_rows` does, each run of equal features a transaction."""
        if self._has_more_columns(config, table):
            super().online_write_batch(config, table, list(data), progress)
            return
        chunks = encode_messages(data, key_version=config.entity_key_serialization_version)
        self._write(config, table, (rows.in_key_order() for rows in chunks), progress)

    def find_keys(self, config: RepoConfig, views: Sequence[FeatureView], part: KeyPart) -> list[bytes]:
        """Return the keys of all views that have a part; the tables are read as a whole."""
        held = {key for view in views for key in self._keys_with(config, view, part.stored)}
        return sorted(filter(part.is_in, held))

    @abstractmethod
    def _keys_with(self, config: RepoConfig, view: FeatureView, within: bytes) -> Iterable[bytes]:
        """Return the view's serialised keys that hold some bytes, anywhere."""

    @abstractmethod
    def _has_more_columns(self, config: RepoConfig, view: FeatureView) -> bool:
        """Say whether Feast keeps more than its plain columns here, as for vectors: then Feast writes the rows."""

    @abstractmethod
    def _write(
        self, config: RepoConfig, view: FeatureView, chunks: Iterable[EncodedRows], progress: Progress | None
    ) -> None:
        """Write chunks, each sorted by key and of one version a key, each a transaction."""


def table_name(config: RepoConfig, view: FeatureView) -> str:
    """Return the name that Feast gives to a view's table."""
    name: str = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return name
