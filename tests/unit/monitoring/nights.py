"""Builders of measured nights, policies and ledgers."""

from __future__ import annotations

from include import partitions
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision_facts import LedgerFacts, NightMetrics
from include.monitoring.feature_drift import FeatureDrift
from include.specs.model_sections import DecisionSpec, MonitoringSpec

MONITORING = MonitoringSpec(
    psi_moderate=0.1,
    psi_significant=0.2,
    min_rows=200,
    missing_max=0.05,
    quarantined_max=0.5,
    volume_ratio_min=0.5,
    volume_ratio_max=2.0,
    price_ratio_max=10.0,
    price_days=30,
)


def make_drift(feature: str, *, psi: float | None = 0.02, missing: float = 0.0, usual: float = 0.0) -> FeatureDrift:
    verdict = "insufficient" if psi is None else "significant" if psi > 0.2 else "moderate" if psi >= 0.1 else "stable"
    return FeatureDrift(
        feature=feature,
        kind="numeric",
        reference_rows=2_000,
        current_rows=1_000,
        verdict=verdict,
        psi=psi,
        psi_expected=None if psi is None else 0.01,
        psi_pvalue=None if psi is None else (1e-9 if psi >= 0.1 else 0.5),
        missing_reference=usual,
        missing_current=missing,
        outside_range=0.0,
    )


def make_night(
    partition: str,
    *,
    shifted: int = 0,
    status: str = "ok",
    rows: int = 1_000,
    score_psi: float = 0.02,
    version: int = 1,
) -> NightMetrics:
    features = tuple(make_drift(f"f{n}", psi=0.31 if n < shifted else 0.02) for n in range(4))
    reasons = ("f0 is missing in 40.0% of rows",) if status == "incident" else ()
    return NightMetrics(
        partition=partition,
        rows=rows,
        data_quality=DataQuality(status, reasons),
        drift=(*features, make_drift("score", psi=score_psi)),
        model_version=version,
    )


def make_nights(end: str, shifts: list[int], **each: object) -> list[NightMetrics]:
    """Consecutive nights up to `end`, with so many shifted features each."""
    first = partitions.shift(end, 1 - len(shifts))
    return [make_night(partitions.shift(first, n), shifted=count, **each) for n, count in enumerate(shifts)]


def make_policy(**changes: object) -> DecisionSpec:
    values = {
        "schedule": None,
        "windows": 5,
        "breaches": 3,
        "features_min": 2,
        "cooldown_days": 14,
        "budget_per_90_days": 6,
        "stop": False,
    }
    return DecisionSpec(**{**values, **changes})


def make_ledger(**changes: object) -> LedgerFacts:
    values = {"production_version": 1, "last_trained_partition": "2011-06-30"}
    return LedgerFacts(**{**values, **changes})
