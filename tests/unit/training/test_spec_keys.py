"""Each key of a model's spec makes its training sets and versions, or does not: the hash of a set says so of all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest
from pydantic import BaseModel

from include.specs.models import ModelSpec, load_models
from include.training.manifest import spec_of_text, spec_sha256, spec_text
from tests.unit.training.examples_builder import make_ranking_spec

MAKES_THE_MODEL = {
    "model_id",
    "task",
    "entity.name",
    "entity.keys",
    "features.service",
    "features.group",
    "population",
    "label.kind",
    "label.horizon_days",
    "training.window_days",
    "training.snapshot_every_days",
    "training.test_days",
    "training.seed",
    "training.threads",
    "training.bootstrap_samples",
    "training.hyperparameters.n_estimators",
    "training.hyperparameters.learning_rate",
    "training.hyperparameters.max_depth",
    "training.hyperparameters.min_child_weight",
    "training.hyperparameters.subsample",
    "training.hyperparameters.colsample_bytree",
    "training.hyperparameters.reg_lambda",
}
MAKES_NO_MODEL = {
    "registered_name",
    "description",
    "owner",
    "training.min_rows",
    "gates.latency_p99_ms_max",
    "gates.champion_margin",
    "gates.scheduled_gain",
    "approval.response_timeout_hours",
    "scoring.challenger",
    "scoring.chunk_rows",
    "scoring.compute",
    "scoring.incomplete",
    "scoring.rescore_days",
    "monitoring.psi_moderate",
    "monitoring.psi_significant",
    "monitoring.min_rows",
    "monitoring.missing_max",
    "monitoring.quarantined_max",
    "monitoring.volume_ratio_min",
    "monitoring.volume_ratio_max",
    "monitoring.price_ratio_max",
    "monitoring.delivered_ratio_max",
    "monitoring.delivered_ratio_min",
    "monitoring.errors_max",
    "monitoring.latency_ms_max",
    "monitoring.performance_drop_max",
    "monitoring.prediction_ks_min",
    "monitoring.slices",
    "monitoring.price_days",
    "decision.schedule",
    "decision.windows",
    "decision.breaches",
    "decision.features_min",
    "decision.importance_min",
    "decision.estimated",
    "decision.false_alarms",
    "decision.cooldown_days",
    "decision.budget_per_90_days",
    "decision.stop",
    "serving.canary_share",
    "serving.shadow",
    "serving.log_share",
    "serving.store_timeout_ms",
    "serving.store_down",
    "serving.default_score",
    "serving.cache_seconds",
    "serving.cache_in",
}
# Keys that one task alone has, and whether they make the model.
OF_TASK = {
    "binary": {"gates.auc_min": False, "scoring.decision_threshold": False},
    "ranking": {"gates.ndcg_min": False, "ranking.top_k": True},
}
MAKES_NO_MODEL |= {key for own in OF_TASK.values() for key, makes in own.items() if not makes}
SPECS = (*load_models(), make_ranking_spec())


def keys(spec: BaseModel) -> Iterator[str]:
    for name, value in spec:
        yield from (f"{name}.{key}" for key in keys(value)) if isinstance(value, BaseModel) else (name,)


def another(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    return value + {str: "x", tuple: ("x",), int: 1, float: 0.5}[type(value)]


def changed(spec: Any, key: str) -> Any:
    """Return a spec with another value of one key."""
    name, _, rest = key.partition(".")
    value = getattr(spec, name)
    return spec.model_copy(update={name: changed(value, rest) if rest else another(value)})


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.model_id} {spec.task}")
def test_every_key_is_declared_to_make_the_model_or_not(spec: ModelSpec):
    assert not MAKES_THE_MODEL & MAKES_NO_MODEL
    # A kind of label has parameters of its own, and each of them changes what is learnt.
    declared = MAKES_THE_MODEL | MAKES_NO_MODEL | {f"label.{name}" for name, _ in spec.label} | set(OF_TASK[spec.task])
    others = {key for task, own in OF_TASK.items() for key in own if task != spec.task}
    assert set(keys(spec)) == declared - others


@pytest.mark.parametrize(
    ("spec", "key"),
    [(spec, key) for spec in SPECS for key in keys(spec)],
    ids=lambda each: getattr(each, "task", each),
)
def test_a_sets_hash_changes_with_the_keys_that_make_the_model_and_with_no_other(spec: ModelSpec, key: str):
    assert spec_sha256(spec) == spec_sha256(spec.model_copy(deep=True))
    assert (spec_sha256(changed(spec, key)) != spec_sha256(spec)) == (key not in MAKES_NO_MODEL)


@pytest.mark.parametrize(
    ("spec", "key"),
    [(spec, key) for spec in SPECS for key in keys(spec) if key not in MAKES_NO_MODEL],
    ids=lambda each: getattr(each, "task", each),
)
def test_a_spec_is_taken_back_from_its_text_whatever_the_present_one_says(spec: ModelSpec, key: str):
    assert spec_of_text(spec_text(spec), present=changed(spec, key)) == (spec, ())


@pytest.mark.parametrize("key", ["description", "training.min_rows", "scoring.rescore_days"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.model_id} {spec.task}")
def test_what_makes_no_model_is_the_present_ones(spec: ModelSpec, key: str):
    assert spec_of_text(spec_text(spec), present=changed(spec, key)) == (changed(spec, key), ())


def without(text: str, key: str) -> str:
    """Return a spec's text as it was written before there was a key."""
    values = json.loads(text)
    *outer, name = key.split(".")
    del reduce(dict.__getitem__, outer, values)[name]
    return json.dumps(values, sort_keys=True)


@pytest.mark.parametrize("key", ["task", "population", "training.seed", "training.hyperparameters.n_estimators"])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.model_id} {spec.task}")
def test_a_key_that_came_later_is_the_present_ones_and_is_told(spec: ModelSpec, key: str):
    assert spec_of_text(without(spec_text(spec), key), present=spec) == (spec, (key,))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.model_id} {spec.task}")
def test_a_key_that_need_not_be_there_has_its_default(spec: ModelSpec):
    key = "training.hyperparameters.reg_lambda"
    kept, came_later = spec_of_text(without(spec_text(spec), key), present=changed(spec, key))
    assert (kept.training.hyperparameters.reg_lambda, came_later) == (1.0, ())
