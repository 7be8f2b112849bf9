"""What became of the rows that were delivered, by the night of their delivery.

What belongs here: the account as a value, and one read of each table that it is made of. What does not: judging rows,
which is the import's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.compute as pc

from include.adapters.lake.delta_lake import LakeAdapter
from include.specs.sources import SourceSpec, load_sources


@dataclass(frozen=True)
class RowAccount:
    """What became of delivered rows.

    Attributes
    ----------
    delivered, published : int
        By the records of the deliveries.
    quarantined : tuple of (str, int)
        Rule and rows, by name of the rule, counted in the quarantine itself: rows that the
        record calls set aside and that are not there come out as unaccounted for.
    """

    delivered: int = 0
    published: int = 0
    quarantined: tuple[tuple[str, int], ...] = ()

    @property
    def rows_quarantined(self) -> int:
        """Rows set aside, over all rules."""
        return sum(rows for _, rows in self.quarantined)

    @property
    def unaccounted(self) -> int:
        """Delivered rows that are neither published nor set aside; below zero where there are too many of those."""
        return self.delivered - self.published - self.rows_quarantined

    def __add__(self, other: RowAccount) -> RowAccount:
        rules = dict(self.quarantined)
        for rule, rows in other.quarantined:
            rules[rule] = rules.get(rule, 0) + rows
        return RowAccount(
            self.delivered + other.delivered, self.published + other.published, tuple(sorted(rules.items()))
        )


def read_row_accounts(lake: LakeAdapter) -> dict[str | None, RowAccount]:
    """Return what became of the rows of all sources, by the night of their delivery; None is a file import."""
    found: dict[str | None, RowAccount] = {}
    for spec in load_sources():
        for night, rows in (*_recorded(lake, spec), *_quarantined(lake, spec)):
            found[night] = found.get(night, RowAccount()) + rows
    return found


def _recorded(lake: LakeAdapter, spec: SourceSpec) -> Iterator[tuple[str | None, RowAccount]]:
    if lake.exists(spec.deliveries.name):
        for record in lake.read(spec.deliveries.name, columns=["delivered", "rows_in", "rows_published"]).to_pylist():
            yield record["delivered"], RowAccount(record["rows_in"], record["rows_published"])


def _quarantined(lake: LakeAdapter, spec: SourceSpec) -> Iterator[tuple[str | None, RowAccount]]:
    if not lake.exists(spec.quarantine.name):
        return
    rows = lake.read(spec.quarantine.name, columns=["source", "delivered", "rule"])
    if lake.exists(spec.deliveries.name):
        # What an earlier delivery of a night had set aside stays in the table, and is no part of its account.
        standing = pc.unique(lake.read(spec.deliveries.name, columns=["source"])["source"])
        rows = rows.filter(pc.or_(pc.is_null(rows["delivered"]), pc.is_in(rows["source"], standing)))
    for group in rows.group_by(["delivered", "rule"]).aggregate([([], "count_all")]).to_pylist():
        yield group["delivered"], RowAccount(quarantined=((group["rule"], group["count_all"]),))
