"""Nights of churn played by the loop's own steps, without Airflow.

What belongs here: what every such play does. What does not: what becomes of a version that was trained, and claims.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from include.adapters.deployment import Deployment
from include.refs import CandidateRef
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.claim_training import TrainingRequest, claim_training
from include.steps.decide_retrain import decide_retrain
from include.steps.generate_orders import deliver_night
from include.steps.heal_features import heal_features
from include.steps.import_source import import_delivery
from include.steps.monitor_model import measure_night
from include.steps.score_batch import score_batch
from include.steps.train_model import train_model


def score_night(deployment: Deployment, arrivals: Path, night: str) -> None:
    """Have a night's orders delivered, imported, made features of, and its customers scored."""
    deliver_night(arrivals, night, deployment.settings.home / "landing")
    import_delivery(deployment, night, source="orders", cross_check=False)
    build_features(deployment, "customer_daily", start=night, end=night)
    heal_features(deployment, "customer_daily")
    score_batch(deployment, "churn", partition=night)


def decide_night(deployment: Deployment, night: str, train: Callable[[Deployment, str, TrainingRequest], None]) -> None:
    """Have a scored night measured and decided, and train where it asks for that."""
    measure_night(deployment, "churn", partition=night)
    if decide_retrain(deployment, "churn", partition=night, run_id=f"night {night}").acted:
        train(deployment, night, TrainingRequest(f"training {night}"))


def train_version(deployment: Deployment, as_of: str, request: TrainingRequest) -> CandidateRef:
    """Claim what asks for a training, and train on the set of that day."""
    claim_training(deployment, "churn", partition=as_of, request=request)
    return train_model(deployment, build_training_set(deployment, "churn", as_of=as_of))
