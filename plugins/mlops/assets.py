"""Every asset URI in one place: what DAGs pass to one another.

What belongs here: assets. What does not: schedules.

Consumers are partitioned: an event without a partition key reaches none of them, and Airflow says so only
in a log. A task that emits therefore names its day with ``outlet_events[asset].add_partitions(day)``, so
that a run whose day came from the trigger form, without a key, reaches them too.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetAll

from include.specs.services import load_feature_service
from include.tables import features_name, predictions_name, raw_name


def raw(source: str) -> Asset:
    """Return the asset of a source's table."""
    return Asset(name=f"raw_{source}", uri=f"mlops://lake/{raw_name(source)}", group="lake")


def features(group: str) -> Asset:
    """Return the asset of a feature group, published and online."""
    return Asset(name=f"features_{group}", uri=f"mlops://{features_name(group)}", group="features")


def inputs(group: str, service: str) -> Asset | AssetAll:
    """Return what a model waits for: the assets of its group, which says whom it scores, and of all of its service."""
    groups = [features(name) for name in dict.fromkeys((group, *load_feature_service(service).features))]
    return groups[0] if len(groups) == 1 else AssetAll(*groups)


def predictions(model_id: str) -> Asset:
    """Return the asset of a model's scores."""
    return Asset(name=f"predictions_{model_id}", uri=f"mlops://{predictions_name(model_id)}", group="predictions")


def retrain(model_id: str) -> Asset:
    """Return the asset whose event starts a training; business events come to it by ``request_retrain``."""
    return Asset(name=f"retrain_{model_id}", uri=f"mlops://retrain/{model_id}", group="retrain")


def candidate(model_id: str) -> Asset:
    """Return the asset of a version that passed its gates and stands in Staging."""
    return Asset(name=f"candidate_{model_id}", uri=f"mlops://candidate/{model_id}", group="candidate")
