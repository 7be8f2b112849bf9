"""The closing account of a demo: what happened, read from the tables, not from what was printed.

What belongs here: what a demo adds to the views of a home: the nights it played with its models, what it cost, who
approved. What does not: reading tables, which is the views', and words, columns and pages, which are the closing
tables' and the report's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from include.adapters.deployment import Deployment
from include.adapters.state.decisions import DecisionRow
from include.demo.online_questions import OnlineAnswers
from include.governance.lifecycle import LedgerMove, Stage
from include.specs.model_sections import MonitoringSpec
from include.specs.models import load_model
from include.views.deliveries import RowAccount, read_row_accounts
from include.views.lake_tables import LakeTable, read_lake_tables
from include.views.nights import Night, read_nights
from include.views.versions import ModelVersion, list_versions

# How the ledger tells an approval by the demo from a person's.
APPROVED_BY_DEMO = "approved by the demo, in place of a person"


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
class ModelAccount:
    """What a demo left of one model.

    Attributes
    ----------
    model_id, registered_name : str
    monitoring : MonitoringSpec
        The thresholds that the verdicts were given by.
    nights : tuple of Night
        In the order they were played.
    decisions : tuple of DecisionRow
        All of the model's, also those of no night.
    ledger : tuple of LedgerMove
        All of the model's moves, in order.
    versions : tuple of ModelVersion
        By number.
    """

    model_id: str
    registered_name: str
    monitoring: MonitoringSpec
    nights: tuple[Night, ...]
    decisions: tuple[DecisionRow, ...]
    ledger: tuple[LedgerMove, ...]
    versions: tuple[ModelVersion, ...]

    @property
    def production(self) -> int | None:
        """The version that is in Production now."""
        return next((v.version for v in self.versions if v.stage == Stage.PRODUCTION), None)


@dataclass(frozen=True)
class DemoAccount:
    """What a demo left in the tables, and what it cost.

    Attributes
    ----------
    source : str
        What data it is, in one line.
    approved_by_demo : bool
        The demo answered approvals in place of a person, of one model at least.
    happened : mapping of str to str
        What the shop did in a night, in words; a night that is not in it had nothing special.
    history : RowAccount
        Of the deliveries that belong to no night.
    other_deliveries : RowAccount
        Of nights that an earlier demo in this home played.
    deliveries : mapping of str to RowAccount
        Of each night that was played, in order: its own delivery, whatever days its rows are of.
    models : tuple of ModelAccount
        In the order they were asked for.
    tables : tuple of LakeTable
    runs : tuple of DagRuns
    stages : tuple of TimedStage
    peak_pss_mb : float
        Proportional set size of all processes together, in MB, at its highest.
    online : tuple of OnlineAnswers
        What came of the questions to the online service, by model.
    """

    source: str
    approved_by_demo: bool
    happened: Mapping[str, str]
    history: RowAccount
    other_deliveries: RowAccount
    deliveries: Mapping[str, RowAccount]
    models: tuple[ModelAccount, ...]
    tables: tuple[LakeTable, ...]
    runs: tuple[DagRuns, ...]
    stages: tuple[TimedStage, ...]
    peak_pss_mb: float
    online: tuple[OnlineAnswers, ...]

    @property
    def rows(self) -> RowAccount:
        """Every delivery together."""
        return sum(self.deliveries.values(), self.history + self.other_deliveries)

    @property
    def seconds(self) -> float:
        """Every stage together."""
        return sum(stage.seconds for stage in self.stages)


def read_account(
    deployment: Deployment,
    model_ids: Sequence[str],
    *,
    nights: Sequence[str],
    happened: Mapping[str, str],
    runs: Mapping[str, Sequence[str]],
    seconds: Mapping[str, float],
    peak_pss_mb: float,
    source: str,
    online: Sequence[OnlineAnswers],
) -> DemoAccount:
    """Read what a demo left in the lake and the state database: the home's tables once, and each model's once.

    Parameters
    ----------
    deployment : Deployment
        Its lake and its state are read.
    model_ids : sequence of str
        The models that were played.
    nights : sequence of str
        The partitions that were played, in order.
    happened : mapping of str to str
        What the shop did in a night, in words; a night that is not in it had nothing special.
    runs : mapping of str to sequence of str
        Ids of the runs that succeeded, by DAG.
    seconds : mapping of str to float
        Wall-clock seconds by stage, in order.
    peak_pss_mb : float
    source : str
        One line that says what data it is.
    online : sequence of OnlineAnswers
        What came of the questions to the online service.

    Raises
    ------
    MlopsError
        If the lake or the state database can't be read.
    """
    rows = read_row_accounts(deployment.lake)
    models = tuple(_read_model(deployment, model_id, nights, rows) for model_id in model_ids)
    return DemoAccount(
        source=source,
        approved_by_demo=any(move.reason.startswith(APPROVED_BY_DEMO) for model in models for move in model.ledger),
        happened=happened,
        history=rows.get(None, RowAccount()),
        other_deliveries=sum((a for night, a in rows.items() if night not in (None, *nights)), RowAccount()),
        deliveries={night: rows.get(night, RowAccount()) for night in nights},
        models=models,
        tables=tuple(read_lake_tables(deployment.lake)),
        runs=tuple(DagRuns(dag_id, tuple(ids)) for dag_id, ids in runs.items()),
        stages=tuple(TimedStage(name, s) for name, s in seconds.items()),
        peak_pss_mb=peak_pss_mb,
        online=tuple(online),
    )


def _read_model(
    deployment: Deployment, model_id: str, nights: Sequence[str], rows: Mapping[str | None, RowAccount]
) -> ModelAccount:
    spec = load_model(model_id)
    moves, decisions = deployment.state.ledger(model_id), deployment.state.decisions(model_id)
    return ModelAccount(
        model_id=model_id,
        registered_name=spec.registered_name,
        monitoring=spec.monitoring,
        nights=tuple(read_nights(deployment, model_id, nights, rows=rows, decisions=decisions, moves=moves)),
        decisions=decisions,
        ledger=moves,
        versions=tuple(list_versions(moves)),
    )
