"""Builders of a demo's account, with one model or three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from itertools import count

from include import partitions
from include.adapters.state.decisions import DecisionRow
from include.demo.account import DagRuns, DemoAccount, ModelAccount, TimedStage
from include.demo.online_questions import OnlineAnswers
from include.governance.evidence import GateReport
from include.governance.lifecycle import LedgerMove, Stage, stages
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.feature_drift import FeatureDrift
from include.views.deliveries import RowAccount
from include.views.lake_tables import LakeTable
from include.views.nights import Night, ScoredNight
from include.views.versions import ModelVersion
from tests.unit.monitoring.nights import MONITORING, make_drift

HISTORY_END = "2026-03-14"
FEATURES = ("total_orders_30d", "total_spend_90d", "avg_order_value", "days_since_last_order")
TALLY = "of the last 5 nights showed a significant shift of at least 2 features"
SHIFTED = {"total_orders_30d": 0.412, "total_spend_90d": 0.287, "score": 0.223}

_STARTED = datetime(2026, 4, 1, tzinfo=UTC)


def make_decision(partition: str, action: str = "hold", **changes: object) -> DecisionRow:
    """A decision; a retrain on drift acts unless it is told otherwise."""
    values: dict[str, object] = {
        "decision_id": int(partition.replace("-", "")),
        "number": 1,
        "model_id": "churn",
        "partition": partition,
        "action": action,
        "trigger": "drift" if action == "retrain" else "none",
        "reasons": (f"nothing asks for a retrain: 0 {TALLY}, 3 needed",),
        "acted": action == "retrain",
        "run_id": f"run-{partition}",
        "recorded_at": _STARTED,
    }
    return DecisionRow(**{**values, **changes})


def make_measured(
    partition: str,
    *,
    psi: Mapping[str, float | None] | None = None,
    status: str = "ok",
    reasons: Sequence[str] = (),
    version: int = 1,
) -> NightMetrics:
    """A measured night whose features are stable, but for those of `psi`; None gives no verdict."""
    shifted = psi or {}
    drift: tuple[FeatureDrift, ...] = tuple(
        make_drift(feature, psi=shifted.get(feature, 0.0123 + index / 1000))
        for index, feature in enumerate((*FEATURES, "score"))
    )
    return NightMetrics(partition, 1_204, DataQuality(status, tuple(reasons)), drift, version)


def make_night(partition: str, *decisions: DecisionRow, **changes: object) -> Night:
    """A night that was scored by version 1 and held."""
    values: dict[str, object] = {
        "partition": partition,
        "rows": RowAccount(412, 398, (("customer_id_missing", 13), ("duplicate_row", 1))),
        "scored": ScoredNight(1_204, 1),
        "measured": make_measured(partition),
        "decisions": decisions or (make_decision(partition),),
        "moves": (),
    }
    return Night(**{**values, **changes})


def make_nights(days: int, **changes: object) -> tuple[Night, ...]:
    """Nights after the history."""
    first = partitions.shift(HISTORY_END, 1)
    return tuple(make_night(partitions.shift(first, n), **changes) for n in range(days))


def make_gates(auc: float = 0.8712) -> tuple[GateReport, ...]:
    """Three gates that a version passed."""
    return (
        GateReport("auc", "pass", auc, 0.85, f"AUC {auc:.4f} ≥ 0.85, 95 % interval [0.8609, 0.8817]"),
        GateReport("latency", "pass", 0.041, 50.0, "p99 of 2000 one-row calls is 0.041 ms, at most 50 ms"),
        GateReport("manifest", "pass", None, None, "complete: commit 0123456789ab, 8123 rows of churn-2026-03-14"),
    )


def make_moves(*steps: tuple[int, str, str, str, str, str], model_id: str = "churn") -> tuple[LedgerMove, ...]:
    """Moves of (version, from, to, partition, actor, reason), in order."""
    return tuple(
        LedgerMove(model_id, seq, version, Stage(origin), Stage(target), partition, actor, reason)
        for seq, (version, origin, target, partition, actor, reason) in zip(count(1), steps, strict=False)
    )


WORSE = GateReport(
    "champion",
    "fail",
    -0.0512,
    -0.01,
    "AUC 0.8514, version 1 in Production has 0.8801 on the same 812 rows; difference -0.0287, 95 % interval "
    "[-0.0512, -0.0061]; drift asked, so that it must not be worse by 0.01, and it is worse",
)
FIRST_VERSION = (
    (1, "None", "Staging", HISTORY_END, "train_model", "gates passed: auc pass (AUC 0.8712 ≥ 0.85)"),
    (1, "Staging", "Production", HISTORY_END, "admin", "demo: first version, gates passed"),
)


def make_model(
    *nights: Night,
    model_id: str = "churn",
    steps: Sequence[tuple[int, str, str, str, str, str]] = FIRST_VERSION,
    **changes: object,
) -> ModelAccount:
    """A model's account of `nights`, three of which held unless they are given; the ledger is made of `steps`."""
    ledger = make_moves(*steps, model_id=model_id)
    played = tuple(
        replace(night, moves=tuple(move for move in ledger if move.partition == night.partition))
        for night in nights or make_nights(3)
    )
    first = make_decision(
        HISTORY_END,
        "retrain",
        trigger="event",
        reasons=("asked for by hand",),
        decision_id=1,
        trained_by="manual__2026-03-14",
    )
    values: dict[str, object] = {
        "model_id": model_id,
        "registered_name": "churn-predictor",
        "monitoring": MONITORING,
        "nights": played,
        "decisions": tuple(
            replace(decision, model_id=model_id) for decision in (first, *(d for n in played for d in n.decisions))
        ),
        "ledger": ledger,
        "versions": tuple(
            ModelVersion(version, stage, HISTORY_END, make_gates()) for version, stage in sorted(stages(ledger).items())
        ),
    }
    return ModelAccount(**{**values, **changes})


def make_home(*models: ModelAccount, **changes: object) -> DemoAccount:
    """An account of models that all saw the same nights."""
    played = models[0].nights
    values: dict[str, object] = {
        "source": "a simulated shop, seed 7",
        "approved_by_demo": False,
        "happened": {},
        "history": RowAccount(141_234, 139_820, (("customer_id_missing", 1_402), ("duplicate_row", 12))),
        "other_deliveries": RowAccount(),
        "deliveries": {night.partition: night.rows for night in played},
        "models": models,
        "tables": (
            LakeTable("raw/orders", 438, "2025-01-01", "2026-03-17", 141_014),
            LakeTable("features/customer_daily", 365, "2025-03-15", "2026-03-17", 1_204_331),
            *(
                LakeTable(f"predictions/{model.model_id}", len(played), HISTORY_END, "2026-03-31", 3_612)
                for model in models
            ),
        ),
        "runs": (
            DagRuns("ingest_orders", ("backfill__2026-03-15T00:00:00+00:00", "backfill__2026-03-16T00:00:00+00:00")),
            *(DagRuns(f"train_model__{model.model_id}", ()) for model in models),
        ),
        "stages": (TimedStage("import the history", 12.34), TimedStage("train churn as of 2026-03-14", 41.5)),
        "peak_pss_mb": 1_812.4,
        "online": tuple(OnlineAnswers(model.model_id, 30, 4.25, 31.5, 1.2e-7) for model in models),
    }
    return DemoAccount(**{**values, **changes})


def make_account(
    *nights: Night, steps: Sequence[tuple[int, str, str, str, str, str]] = FIRST_VERSION, **changes: object
) -> DemoAccount:
    """An account of one model, whose own changes and those of the home are told apart by their names."""
    of_model = {name: changes.pop(name) for name in {f.name for f in fields(ModelAccount)} & set(changes)}
    return make_home(make_model(*nights, steps=steps, **of_model), **changes)


def change_model(account: DemoAccount, **changes: object) -> DemoAccount:
    """The account of one model, with other values of it."""
    (model,) = account.models
    return replace(account, models=(replace(model, **changes),))


def make_eventful_account(**changes: object) -> DemoAccount:
    """Seventeen nights: a data incident, a drift that is retrained on, and the new version approved."""
    nights = list(make_nights(17))
    days = [night.partition for night in nights]
    broken = "total_orders_30d is missing in 40.0% of rows, more than 5.0% above the reference's 0.0%"
    nights[4] = make_night(
        days[4],
        make_decision(days[4], "veto", reasons=(f"data incident, not a reason to retrain: {broken}",)),
        rows=RowAccount(420, 160, (("customer_id_missing", 259), ("duplicate_row", 1))),
        measured=make_measured(days[4], status="incident", reasons=(broken,)),
    )
    for n, psi in ((8, 0.118), (9, 0.171)):
        nights[n] = make_night(
            days[n],
            measured=make_measured(days[n], psi={"total_orders_30d": psi, "days_since_last_order": None}),
        )
    for n in (10, 11):
        nights[n] = make_night(
            days[n],
            make_decision(days[n], reasons=(f"nothing asks for a retrain: {n - 9} {TALLY}, 3 needed",)),
            measured=make_measured(days[n], psi=SHIFTED),
        )
    nights[12] = make_night(
        days[12],
        make_decision(
            days[12],
            "retrain",
            reasons=(
                f"3 {TALLY}; {days[12]}: total_orders_30d psi 0.412 > 0.2 (0.010 expected by chance), "
                "total_spend_90d psi 0.287 > 0.2 (0.010 expected by chance)",
                "prediction drift: score psi 0.223 (0.010 expected by chance)",
            ),
            trained_by=f"asset_triggered__{days[12]}",
        ),
        measured=make_measured(days[12], psi=SHIFTED),
    )
    for n in range(13, 17):
        nights[n] = make_night(
            days[n],
            make_decision(days[n], reasons=(f"cooldown: the last retrain was {n - 12} days ago",)),
            scored=ScoredNight(1_198, 2),
            measured=make_measured(days[n], version=2),
        )
    steps = (
        *FIRST_VERSION,
        (2, "None", "Staging", days[12], "train_model", "gates passed: auc pass (AUC 0.8604 ≥ 0.85)"),
        (1, "Production", "Archived", days[12], "admin", "replaced by version 2"),
        (2, "Staging", "Production", days[12], "admin", "the shift is real and the new version meets its gates"),
    )
    happened = {
        days[4]: "The till's export lost the customer column: 6 of 10 rows name nobody.",
        days[8]: "A price rise of 25 % on every product; regulars order less often.",
    }
    return make_account(*nights, steps=steps, **{"happened": happened, **changes})


def make_account_of_three(**changes: object) -> DemoAccount:
    """The eventful nights, and two more models: one whose retrain its champion gate refused, one that still waits."""
    eventful = make_eventful_account()
    (churn,) = eventful.models
    days = list(eventful.deliveries)
    quiet = [make_night(day, rows=eventful.deliveries[day], scored=ScoredNight(412, 1)) for day in days]
    asked = make_night(
        days[9], make_decision(days[9], "retrain", reasons=(f"3 {TALLY}",), trained_by="asset_triggered")
    )
    refused = (2, "None", "Archived", days[9], "train_model", f"gates not passed: champion fail ({WORSE.reason})")
    fraud = make_model(
        *quiet[:9],
        replace(asked, rows=eventful.deliveries[days[9]]),
        *quiet[10:],
        model_id="fraud",
        registered_name="fraud-detector",
        steps=(*FIRST_VERSION, refused),
    )
    worse = replace(fraud.versions[1], gates=(*make_gates(), WORSE))
    ndcg = GateReport("ndcg", "pass", 0.4512, 0.35, "NDCG@5 0.4512 ≥ 0.35, 95 % interval [0.4410, 0.4610]")
    recommendation = make_model(
        *quiet[:-1],
        replace(quiet[-1], measured=None, scored=None, decisions=()),
        model_id="recommendation",
        registered_name="recommendation-engine",
        steps=FIRST_VERSION[:1],
    )
    staged = replace(recommendation.versions[0], gates=(ndcg, *make_gates()[1:]))
    models = (
        churn,
        replace(fraud, versions=(fraud.versions[0], worse)),
        replace(recommendation, versions=(staged,)),
    )
    return make_home(*models, **{"happened": eventful.happened, **changes})
