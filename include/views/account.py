"""The closing account of a demo: what happened, read from the tables, not from what was printed.

What belongs here: the account as values, and one read of each table that it is made of. What does
not: words, columns and pages, which are the closing tables' and the report's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.state.decisions import DecisionRow
from include.governance import lifecycle
from include.governance.evidence import GateReport
from include.governance.lifecycle import LedgerMove, Stage
from include.monitoring.decision import NightMetrics
from include.specs.models import MonitoringSpec, load_model
from include.steps.find_tables import find_tables
from include.steps.monitor_model import load_nights
from include.steps.score_batch import CHAMPION
from include.tables import DELIVERIES, QUARANTINE, predictions_name


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


@dataclass(frozen=True)
class LakeTable:
    """How far a lake table reaches: its partitions that hold rows, and all their rows."""

    name: str
    partitions: int
    first: str
    last: str
    rows: int


@dataclass(frozen=True)
class ScoredNight:
    """The predictions of a partition: their number, and the version that made them."""

    rows: int
    version: int


@dataclass(frozen=True)
class Night:
    """One partition that was played.

    Attributes
    ----------
    partition : str
    happened : str or None
        What the shop did that night, in words; None for nothing special.
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
    happened: str | None
    rows: RowAccount
    scored: ScoredNight | None
    measured: NightMetrics | None
    decisions: tuple[DecisionRow, ...]
    moves: tuple[LedgerMove, ...]

    @property
    def decision(self) -> DecisionRow | None:
        """The decision that the night is known by: one that acts, else a veto, a retrain, the newest."""
        return max(self.decisions, key=_rank, default=None)


@dataclass(frozen=True)
class ModelVersion:
    """A version, where it stands now, and the gates it was held against."""

    version: int
    stage: Stage
    as_of: str | None
    gates: tuple[GateReport, ...]


@dataclass(frozen=True)
class DagRuns:
    """The runs of a DAG that succeeded, oldest first."""

    dag_id: str
    run_ids: tuple[str, ...]


@dataclass(frozen=True)
class TimedStage:
    """A stage of the demo and its wall-clock seconds."""

    name: str
    seconds: float


@dataclass(frozen=True)
class DemoAccount:
    """What a demo left in the tables, and what it cost.

    Attributes
    ----------
    model_id, registered_name : str
    source : str
        What data it is, in one line.
    approved_by_demo : bool
        The demo answered the approvals in place of a person.
    monitoring : MonitoringSpec
        The thresholds that the verdicts were given by.
    history : RowAccount
        Of the deliveries that belong to no night.
    other_deliveries : RowAccount
        Of nights that an earlier demo in this home played.
    nights : tuple of Night
        In the order they were played.
    decisions : tuple of DecisionRow
        All of the model's, also those of no night.
    ledger : tuple of LedgerMove
        All of the model's moves, in order.
    versions : tuple of ModelVersion
        By number.
    tables : tuple of LakeTable
    runs : tuple of DagRuns
    stages : tuple of TimedStage
    peak_pss_mb : float
        Proportional set size of all processes together, in MB, at its highest.
    """

    model_id: str
    registered_name: str
    source: str
    approved_by_demo: bool
    monitoring: MonitoringSpec
    history: RowAccount
    other_deliveries: RowAccount
    nights: tuple[Night, ...]
    decisions: tuple[DecisionRow, ...]
    ledger: tuple[LedgerMove, ...]
    versions: tuple[ModelVersion, ...]
    tables: tuple[LakeTable, ...]
    runs: tuple[DagRuns, ...]
    stages: tuple[TimedStage, ...]
    peak_pss_mb: float

    @property
    def rows(self) -> RowAccount:
        """Every delivery together."""
        return sum((night.rows for night in self.nights), self.history + self.other_deliveries)

    @property
    def seconds(self) -> float:
        """Every stage together."""
        return sum(stage.seconds for stage in self.stages)


def read_account(
    deployment: Deployment,
    model_id: str,
    *,
    nights: Sequence[str],
    happened: Mapping[str, str],
    runs: Mapping[str, Sequence[str]],
    seconds: Mapping[str, float],
    peak_pss_mb: float,
    source: str,
    approved_by_demo: bool,
) -> DemoAccount:
    """Read what a demo left in the lake and the state database, each table once.

    Parameters
    ----------
    deployment : Deployment
        Its lake and its state are read.
    model_id : str
    nights : sequence of str
        The partitions that were played, in order.
    happened : mapping of str to str
        What the shop did in a night, in words; a night that lacks had nothing special.
    runs : mapping of str to sequence of str
        Ids of the runs that succeeded, by DAG.
    seconds : mapping of str to float
        Wall-clock seconds by stage, in order.
    peak_pss_mb : float
    source : str
        One line that says what data it is.
    approved_by_demo : bool
        The demo answered the approvals in place of a person.

    Raises
    ------
    MlopsError
        If the lake or the state database can't be read.
    """
    spec = load_model(model_id)
    accounts = _read_row_accounts(deployment.lake)
    moves, decisions = deployment.state.ledger(model_id), deployment.state.decisions(model_id)
    scored = _read_scored(deployment, predictions_name(model_id), moves)
    measured = {m.partition: m for m in load_nights(deployment, model_id, until=max(nights))} if nights else {}
    return DemoAccount(
        model_id=model_id,
        registered_name=spec.registered_name,
        source=source,
        approved_by_demo=approved_by_demo,
        monitoring=spec.monitoring,
        history=accounts.get(None, RowAccount()),
        other_deliveries=sum((a for night, a in accounts.items() if night not in (None, *nights)), RowAccount()),
        nights=tuple(
            Night(
                partition=night,
                happened=happened.get(night),
                rows=accounts.get(night, RowAccount()),
                scored=scored.get(night),
                measured=measured.get(night),
                decisions=tuple(d for d in decisions if d.partition == night),
                moves=tuple(m for m in moves if m.partition == night),
            )
            for night in nights
        ),
        decisions=decisions,
        ledger=moves,
        versions=tuple(_versions(moves)),
        tables=tuple(_read_tables(deployment.lake)),
        runs=tuple(DagRuns(dag_id, tuple(ids)) for dag_id, ids in runs.items()),
        stages=tuple(TimedStage(name, s) for name, s in seconds.items()),
        peak_pss_mb=peak_pss_mb,
    )


def _rank(decision: DecisionRow) -> tuple[bool, bool, bool, int]:
    return decision.acted, decision.action == "veto", decision.action == "retrain", decision.decision_id


def _read_row_accounts(lake: LakeAdapter) -> dict[str | None, RowAccount]:
    """Return what became of the rows, by the night of their delivery; None is a file import."""
    found: dict[str | None, RowAccount] = {}
    for night, rows in (*_recorded(lake), *_quarantined(lake)):
        found[night] = found.get(night, RowAccount()) + rows
    return found


def _recorded(lake: LakeAdapter) -> Iterator[tuple[str | None, RowAccount]]:
    if lake.exists(DELIVERIES.name):
        for record in lake.read(DELIVERIES.name, columns=["delivered", "rows_in", "rows_published"]).to_pylist():
            yield record["delivered"], RowAccount(record["rows_in"], record["rows_published"])


def _quarantined(lake: LakeAdapter) -> Iterator[tuple[str | None, RowAccount]]:
    if lake.exists(QUARANTINE.name):
        rows = lake.read(QUARANTINE.name, columns=["delivered", "rule"])
        for group in rows.group_by(["delivered", "rule"]).aggregate([([], "count_all")]).to_pylist():
            yield group["delivered"], RowAccount(quarantined=((group["rule"], group["count_all"]),))


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


def _versions(moves: Sequence[LedgerMove]) -> Iterator[ModelVersion]:
    evidence = {m.version: m.evidence for m in moves if m.evidence is not None}
    for version, stage in sorted(lifecycle.stages(moves).items()):
        shown = evidence.get(version)
        yield ModelVersion(version, stage, shown.as_of if shown else None, shown.gates if shown else ())


def _read_tables(lake: LakeAdapter) -> Iterator[LakeTable]:
    for table in find_tables(lake):
        days = [] if table.is_log else lake.partitions(table.name)
        if days:
            yield LakeTable(table.name, len(days), days[0], days[-1], lake.dataset(table.name).count_rows())
