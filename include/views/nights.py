"""What is known of each night: what was delivered, scored, measured, decided and moved.

What belongs here: a night as a value, and one read of each table that only it is made of. What does not: any of it in
words, which is a page's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from include.adapters.deployment import Deployment
from include.adapters.state.decisions import DecisionRow
from include.governance import lifecycle
from include.governance.lifecycle import LedgerMove
from include.monitoring.decision_facts import NightMetrics
from include.scoring.predictions import CHAMPION
from include.steps.monitor_model import load_nights
from include.tables import predictions_name
from include.views.deliveries import RowAccount


@dataclass(frozen=True)
class ScoredNight:
    """The predictions of a partition: their number, and the version that made them."""

    rows: int
    version: int


@dataclass(frozen=True)
class Night:
    """One partition, and what is known of it.

    Attributes
    ----------
    partition : str
    rows : RowAccount
        Of the night's own delivery, whatever days its rows are of.
    scored : ScoredNight or None
        None where it was not scored: nothing was in Production before it, for example.
    measured : NightMetrics or None
        None where monitoring did not get to it.
    decisions : tuple of DecisionRow
        In the order they were recorded.
    moves : tuple of LedgerMove
        Moves made while this was the newest published partition.
    """

    partition: str
    rows: RowAccount
    scored: ScoredNight | None
    measured: NightMetrics | None
    decisions: tuple[DecisionRow, ...]
    moves: tuple[LedgerMove, ...]

    @property
    def decision(self) -> DecisionRow | None:
        """The decision that the night is known by: one that acts, else a veto, a retrain, the newest."""
        return max(self.decisions, key=_rank, default=None)


def read_nights(
    deployment: Deployment,
    model_id: str,
    nights: Sequence[str],
    *,
    rows: Mapping[str | None, RowAccount],
    decisions: Sequence[DecisionRow],
    moves: Sequence[LedgerMove],
) -> Iterator[Night]:
    """Yield each of `nights`, in their order.

    Parameters
    ----------
    deployment : Deployment
        Its table of predictions and the nights of its monitoring are read.
    model_id : str
    nights : sequence of str
    rows : mapping of str or None to RowAccount
        By the night of the delivery.
    decisions : sequence of DecisionRow
        The model's, of any partition.
    moves : sequence of LedgerMove
        The model's, of any partition.
    """
    scored = _read_scored(deployment, predictions_name(model_id), moves)
    measured = {m.partition: m for m in load_nights(deployment, model_id, until=max(nights, default=""))}
    for night in nights:
        yield Night(
            partition=night,
            rows=rows.get(night, RowAccount()),
            scored=scored.get(night),
            measured=measured.get(night),
            decisions=tuple(d for d in decisions if d.partition == night),
            moves=tuple(m for m in moves if m.partition == night),
        )


def _rank(decision: DecisionRow) -> tuple[bool, bool, bool, int]:
    return decision.acted, decision.action == "veto", decision.action == "retrain", decision.decision_id


def _read_scored(deployment: Deployment, table: str, moves: Sequence[LedgerMove]) -> dict[str, ScoredNight]:
    published = deployment.state.publications(table)
    if not published:
        return {}
    rows = deployment.lake.read(table, columns=["dt", "role", "model_version"])
    by_day = rows.filter(pc.equal(rows["role"], CHAMPION)).group_by("dt")
    counted = by_day.aggregate([([], "count_all"), ("model_version", "max")]).to_pylist()
    by_night = {day["dt"].isoformat(): (day["count_all"], day["model_version_max"]) for day in counted}
    # Where nobody was there to score, no row names the version: the ledger does.
    found = {night: by_night.get(night, (0, lifecycle.production_at(moves, night))) for night in published}
    return {night: ScoredNight(rows, version) for night, (rows, version) in found.items() if version is not None}
