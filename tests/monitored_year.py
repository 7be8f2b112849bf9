"""A year of three monitored models, written straight into the state: what the monitoring page has to cope with.

What belongs here: made-up nights with everything that a page shows, holes and HTML among it. What does not: a claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import sqlalchemy as sa

from include import partitions
from include.adapters.state import tables
from include.adapters.state.nights import NightInShort
from include.adapters.state.state_store import StateStoreAdapter
from tests.unit.demo.accounts import make_moves

END = "2026-03-31"
DAYS = 365
START = partitions.shift(END, 1 - DAYS)
HTML = '<img src=x onerror="window.broken=1"><script>window.broken=1</script>&amp;'
# Places from the newest night on, by what they lack.
NOT_SCORED, NOT_MEASURED, NOT_DECIDED, INCIDENT = (40, 41, 42), (90,), (120,), (200, 201)
RETRAINED, PROMOTED = 61, 60
REPLACED = "feature_151_30d"

_CHECKS = (
    ("data_quality", "rows_scored", 12_000, None),
    ("prediction_drift", "ks_d", 0.04, 0.1),
    ("performance", "auc", 0.86, 0.8),
    ("performance", "log_loss", 0.41, None),
    ("latency", "p50_ms", 3.1, 100.0),
    ("latency", "p99_ms", 41.0, 100.0),
    ("traffic", "error_rate", 0.002, 0.01),
)


def day_of(place: int) -> str:
    """Return the day so many nights before the newest."""
    return partitions.shift(END, -place)


def shorten(night: Mapping[str, Any]) -> NightInShort:
    """Return a kept night in short, as the database should."""
    drift = night["drift"]
    return NightInShort(
        night["partition"],
        night["model_version"],
        {name: value for name, value in night.items() if name != "drift"},
        *(tuple(each[field] for each in drift) for field in ("feature", "psi", "verdict")),
    )


def write_year(url: str, *, features: int = 200) -> StateStoreAdapter:
    """Write a year of `churn`, and the same nights of `fraud` and `recommendation`, into migrated tables."""
    state = StateStoreAdapter(url)
    names = [HTML, *(f"feature_{number}_30d" for number in range(1, features)), "score"]
    away = {*NOT_SCORED, *NOT_MEASURED}
    nights = [_night(place, names) for place in range(DAYS) if place not in away]
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        rows = [
            {
                "model_id": "churn",
                "partition_key": each["partition"],
                "model_version": each["model_version"],
                "night": each,
            }
            for each in nights
        ]
        connection.execute(sa.insert(tables.monitoring_metric), rows)
        for other in ("fraud", "recommendation"):
            connection.execute(
                sa.text(
                    "INSERT INTO monitoring_metric SELECT :other, partition_key, model_version, night "
                    "FROM monitoring_metric WHERE model_id = 'churn'"
                ),
                {"other": other},
            )
        decisions = [*map(_decision, _decided(away)), _replayed(RETRAINED)]
        connection.execute(sa.insert(tables.retrain_decision), decisions)
    before = partitions.shift(START, -1)
    state.append_moves(
        make_moves(
            (1, "None", "Staging", before, "train_model", "gates passed"),
            (1, "Staging", "Production", before, "admin", "first version"),
            (2, "None", "Staging", day_of(RETRAINED), "train_model", "gates passed"),
            (1, "Production", "Archived", day_of(PROMOTED), "admin", "replaced by version 2"),
            (2, "Staging", "Production", day_of(PROMOTED), "admin", f"looked at it {HTML}"),
        )
    )
    scored = [(day_of(place), 12_000) for place in range(DAYS) if place not in NOT_SCORED]
    state.record_publications("predictions/churn", scored, 1)
    return state


def _night(place: int, names: list[str]) -> dict[str, Any]:
    rng = np.random.default_rng(place)
    broken = place in INCIDENT
    # A season that a third of the features follow, up to the retrain.
    season = max(0.0, np.sin(place / 25)) if place > PROMOTED else 0.0
    psi = rng.exponential(0.02, len(names)) + np.where(np.arange(len(names)) % 3 == 1, 0.3 * season, 0.0)
    return {
        "partition": day_of(place),
        "rows": 12_000,
        "data_quality": {
            "status": "incident" if broken else "ok",
            "reasons": [f"feature_7_30d is missing in 40.0% of rows {HTML}"] if broken else [],
        },
        "drift": [_drift(name, float(value), rng.random(), place) for name, value in zip(names, psi, strict=True)],
        "model_version": 2 if place < PROMOTED else 1,
        "checks": [_check(*check, rng.normal(0, 0.02), place) for check in _CHECKS],
    }


def _drift(name: str, psi: float, missing: float, place: int) -> dict[str, Any]:
    few, other = missing > 0.99, name == REPLACED and 95 < place < 110
    return {
        "feature": name,
        "kind": "numeric",
        "reference_rows": 48_000,
        "current_rows": 12_000,
        "verdict": "schema" if other else "insufficient" if few else _verdict(psi),
        "psi": None if few or other else psi,
        "psi_expected": None if few else 0.0011,
        "psi_pvalue": None if few else missing,
        "missing_reference": 0.01,
        "missing_current": missing * 0.02,
        "outside_range": missing * 0.001,
        "reason": f"the window has 12 rows, below 200 {HTML}" if few else None,
    }


def _verdict(psi: float) -> str:
    return "significant" if psi > 0.2 else "moderate" if psi >= 0.1 else "stable"


def _check(watch: str, name: str, level: float, threshold: float | None, noise: float, place: int) -> dict[str, Any]:
    # Labels of the last three weeks are not known yet.
    unknown = watch == "performance" and place < 21
    value = level * (1 + noise) * (0.9 if name == "auc" and 150 < place < 160 else 1)
    broken = threshold is not None and (value < threshold if name == "auc" else value > threshold)
    return {
        "watch": watch,
        "name": name,
        "value": None if unknown else value,
        "threshold": threshold,
        "verdict": "unknown" if unknown else "breach" if broken else "ok",
        "causes": ["who is scored has changed", "country=DE: AUC 0.710"] if broken and not unknown else [],
        "low": None if unknown else value * 0.97,
        "high": None if unknown else value * 1.03,
        "reference": level,
        "reference_rows": 9_000,
        "current_rows": 0 if unknown else 11_000,
        "reason": "no label is known yet" if unknown else None,
    }


def _decided(away: set[int]) -> list[int]:
    return [place for place in reversed(range(DAYS)) if place not in {*away, *NOT_DECIDED}]


def _replayed(place: int) -> dict[str, Any]:
    changes = {"action": "hold", "trigger": "none", "acted": False, "run_id": f"manual__{day_of(place)}"}
    return {**_decision(place), **changes}


def _decision(place: int) -> dict[str, Any]:
    action = "retrain" if place == RETRAINED else "veto" if place in INCIDENT else "hold"
    reasons = {
        "retrain": ["3 of the last 5 nights showed a significant shift of at least 2 features", HTML],
        "veto": ["data incident, not a reason to retrain: feature_7_30d is missing in 40.0% of rows"],
        "hold": ["nothing asks for a retrain: 0 of the last 5 nights showed a significant shift, 3 needed"],
    }
    return {
        "model_id": "churn",
        "partition_key": day_of(place),
        "action": action,
        "trigger": "drift" if action == "retrain" else "none",
        "reasons": reasons[action],
        "acted": action == "retrain",
        "run_id": f"asset_triggered__{day_of(place)}T02:10:00+00:00_aB3",
    }
