"""Nights of churn played by the loop's own steps, without Airflow.

What belongs here: what every such play does. What does not: what is measured and decided, and claims.
"""

from __future__ import annotations

from pathlib import Path

from include.adapters.deployment import Deployment
from include.steps.build_features import build_features
from include.steps.generate_orders import deliver_night
from include.steps.heal_features import heal_features
from include.steps.import_source import import_delivery
from include.steps.score_batch import score_batch


def score_night(deployment: Deployment, arrivals: Path, night: str) -> None:
    """Have a night's orders delivered, imported, made features of, and its customers scored."""
    deliver_night(arrivals, night, deployment.settings.home / "landing")
    import_delivery(deployment, night, source="orders", cross_check=False)
    build_features(deployment, "customer_daily", start=night, end=night)
    heal_features(deployment, "customer_daily")
    score_batch(deployment, "churn", partition=night)
