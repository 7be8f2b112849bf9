"""Which partitions a target holds: with how many rows, of which version, made from which.

What belongs here: recording and reading publications. What does not: the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase


class PublicationTable(StateDatabase):
    """Published partitions, by target: a lake table, or ``online/<group>``."""

    def record_publications(
        self, target: str, partitions: Sequence[tuple[str, int]], version: int, *, source_version: int | None = None
    ) -> None:
        """Write down which partitions a target holds, with their rows, the table's version and its source's."""
        if not partitions:
            return
        table = tables.publication
        told = {"target": target, "table_version": version, "source_version": source_version}
        statement = insert(table).values([{**told, "partition_key": key, "rows": rows} for key, rows in partitions])
        written = {name: statement.excluded[name] for name in ("table_version", "source_version", "rows")}
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["target", "partition_key"], set_=written)
            )

    def source_versions(self, target: str) -> dict[str, int | None]:
        """Return the version of its source that each partition of a target agrees with, by key; None where unknown."""
        return self._by_partition(target, tables.publication.c.source_version)

    def table_versions(self, target: str) -> dict[str, int]:
        """Return the version of its table that each partition of a target was recorded with, by key."""
        return self._by_partition(target, tables.publication.c.table_version)

    def confirm_source(self, target: str, agreeing: Mapping[str, int], source_version: int) -> None:
        """Write down that partitions, as they are, agree with another version of their source.

        Parameters
        ----------
        target : str
        agreeing : mapping of str to int
            The version that each partition was built from when it was compared. One that was built anew since is
            left as it is: it was not what was compared.
        source_version : int
            What they agree with.
        """
        table = tables.publication
        with self._transaction() as connection:
            for built_from in sorted(set(agreeing.values())):
                partitions = [key for key, version in agreeing.items() if version == built_from]
                chosen = (table.c.target == target) & table.c.partition_key.in_(partitions)
                compared = chosen & (table.c.source_version == built_from)
                connection.execute(sa.update(table).where(compared).values(source_version=source_version))

    def publications(self, target: str) -> dict[str, int]:
        """Return the rows of each published partition of a target, by key."""
        return self._by_partition(target, tables.publication.c.rows)

    def newest_publication(self, target: str) -> str | None:
        """Return the newest published partition of a target."""
        return max(self.publications(target), default=None)

    def _by_partition(self, target: str, column: sa.Column[Any]) -> dict[str, Any]:
        table = tables.publication
        query = sa.select(table.c.partition_key, column).where(table.c.target == target).order_by(table.c.partition_key)
        with self._transaction() as connection:
            return dict(connection.execute(query).tuples().all())
