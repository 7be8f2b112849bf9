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
        self,
        target: str,
        partitions: Sequence[tuple[str, int]],
        version: int,
        *,
        source_versions: Mapping[str, int] | None = None,
    ) -> None:
        """Write down which partitions a target holds: their rows, the table's version, that of each table it reads."""
        if not partitions:
            return
        table = tables.publication
        told = {
            "target": target,
            "table_version": version,
            "source_versions": None if source_versions is None else dict(source_versions),
        }
        statement = insert(table).values([{**told, "partition_key": key, "rows": rows} for key, rows in partitions])
        written = {name: statement.excluded[name] for name in ("table_version", "source_versions", "rows")}
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["target", "partition_key"], set_=written)
            )

    def source_versions(self, target: str) -> dict[str, dict[str, int] | None]:
        """Return the versions, by table, that each partition of a target agrees with, by key; None where unknown."""
        return self._by_partition(target, tables.publication.c.source_versions)

    def table_versions(self, target: str) -> dict[str, int]:
        """Return the version of its table that each partition of a target was recorded with, by key."""
        return self._by_partition(target, tables.publication.c.table_version)

    def confirm_sources(
        self, target: str, agreeing: Mapping[str, Mapping[str, int]], source_versions: Mapping[str, int]
    ) -> None:
        """Write down that partitions, as they are, agree with other versions of what they were built from.

        Parameters
        ----------
        target : str
        agreeing : mapping of str to mapping of str to int
            The versions, by table, that each partition was built from when it was compared. One that was built anew
            since is left as it is: it was not what was compared.
        source_versions : mapping of str to int
            What they agree with. A table that is not among them stays at its version.
        """
        table = tables.publication
        with self._transaction() as connection:
            for built_from in sorted({tuple(sorted(versions.items())) for versions in agreeing.values()}):
                partitions = [key for key, versions in agreeing.items() if dict(versions) == dict(built_from)]
                chosen = (table.c.target == target) & table.c.partition_key.in_(partitions)
                compared = chosen & (table.c.source_versions == dict(built_from))
                agreed = {**dict(built_from), **source_versions}
                connection.execute(sa.update(table).where(compared).values(source_versions=agreed))

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
