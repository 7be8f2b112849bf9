"""What monitoring measured, one row per model and partition.

What belongs here: keeping and reading it, whole or in short. What does not: its content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH, insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase


@dataclass(frozen=True)
class NightInShort:
    """A measured night without what only its own page shows of each feature.

    Attributes
    ----------
    partition : str
    model_version : int
    measured : mapping of str to object
        The night as it was kept, without its drift.
    features : tuple of str
    psi : tuple of float or None
        Of each feature.
    verdicts : tuple of str
        Of each feature.
    """

    partition: str
    model_version: int
    measured: Mapping[str, Any]
    features: tuple[str, ...]
    psi: tuple[float | None, ...]
    verdicts: tuple[str, ...]


class NightTable(StateDatabase):
    """Measured nights, by model."""

    def put_night(self, model_id: str, partition: str, *, model_version: int, night: Mapping[str, Any]) -> None:
        """Keep what monitoring measured of a partition, in place of what it measured before."""
        values = {"model_version": model_version, "night": dict(night)}
        statement = insert(tables.monitoring_metric).values(model_id=model_id, partition_key=partition, **values)
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["model_id", "partition_key"], set_=values)
            )

    def nights(self, model_id: str, *, since: str | None = None, until: str | None = None) -> list[dict[str, Any]]:
        """Return what monitoring measured, by partition, from `since` up to `until`, both included."""
        table = tables.monitoring_metric
        query = sa.select(table.c.night).where(table.c.model_id == model_id).order_by(table.c.partition_key)
        if since is not None:
            query = query.where(table.c.partition_key >= since)
        if until is not None:
            query = query.where(table.c.partition_key <= until)
        with self._transaction() as connection:
            return [dict(row.night) for row in connection.execute(query)]

    def measured_nights(self, model_id: str) -> frozenset[str]:
        """Return the partitions that were measured."""
        table = tables.monitoring_metric
        with self._transaction() as connection:
            return frozenset(
                connection.execute(sa.select(table.c.partition_key).where(table.c.model_id == model_id)).scalars()
            )

    def night(self, model_id: str, partition: str) -> dict[str, Any] | None:
        """Return what monitoring measured of one partition; None where it measured nothing."""
        table = tables.monitoring_metric
        query = sa.select(table.c.night).where(table.c.model_id == model_id, table.c.partition_key == partition)
        with self._transaction() as connection:
            return connection.execute(query).scalar()

    def nights_in_short(self, model_id: str, last: int, *, until: str | None = None) -> list[NightInShort]:
        """Return the last so many measured nights up to `until`, by partition.

        The database takes them apart: of 365 nights of 200 features a sixth is sent, in a third of the time.
        """
        table = tables.monitoring_metric
        # A night is put together anew, so that it is unpacked once and not for each thing that is read of it.
        whole = table.c.night.concat(sa.cast({}, JSONB)).label("night")
        last_ones = (
            sa.select(table.c.partition_key, table.c.model_version, whole)
            .where(table.c.model_id == model_id)
            .order_by(table.c.partition_key.desc())
            .limit(last)
        )
        if until is not None:
            last_ones = last_ones.where(table.c.partition_key <= until)
        key, version, night = last_ones.subquery().c
        query = sa.select(
            key,
            version,
            sa.cast(night.delete_path(["drift"]), sa.Text),
            *(_of_each(night, field) for field in ("feature", "psi", "verdict")),
        )
        with self._transaction() as connection:
            found = sorted(connection.execute(query).tuples())
        read = msgspec.json.decode
        return [
            NightInShort(of, by, read(measured), *(tuple(read(each)) for each in drift))
            for of, by, measured, *drift in found
        ]


def _of_each(night: sa.ColumnElement[Any], field: str) -> sa.ColumnElement[str]:
    """Return one field of each feature of a night, in their order, as the text of a JSON list."""
    path = sa.cast(f"$.drift[*].{field}", JSONPATH)
    return sa.cast(sa.func.jsonb_path_query_array(night, path), sa.Text)
