"""Model specs: YAML in, frozen values out, every mistake found at load.

What belongs here: the schema of ``include/config/models``. What does not: what a value means to a computation, which
is where the computation is.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, create_model, field_validator, model_validator

from include.errors import SpecError
from include.settings import Settings
from include.specs.conditions import columns_of
from include.specs.groups import EntitySpec
from include.specs.labels import LabelSpec, load_label_kind
from include.specs.yaml_files import CONFIG_ROOT, Days, Fraction, Frozen, Identifier, read_spec, spec_names, validated


class FeaturesSpec(Frozen):
    """Which versioned feature service the model reads, and the group it is built from."""

    service: Identifier
    group: Identifier


class HyperparametersSpec(Frozen):
    """XGBoost parameters, named as XGBoost names them."""

    n_estimators: Annotated[int, Field(ge=1, le=5000)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    max_depth: Annotated[int, Field(ge=1, le=16)]
    min_child_weight: Annotated[float, Field(ge=0)] = 1.0
    subsample: Annotated[float, Field(gt=0, le=1)] = 1.0
    colsample_bytree: Annotated[float, Field(gt=0, le=1)] = 1.0
    reg_lambda: Annotated[float, Field(ge=0)] = 1.0


class TrainingSpec(Frozen):
    """Which examples are taken, how they are split, and how the model is fitted."""

    window_days: Days
    snapshot_every_days: Days
    test_days: Days
    min_rows: Annotated[int, Field(ge=10)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    threads: Annotated[int, Field(ge=1, le=64)]
    bootstrap_samples: Annotated[int, Field(ge=100, le=10_000)]
    hyperparameters: HyperparametersSpec


class GatesSpec(Frozen):
    """Thresholds a candidate must meet before anyone is asked to approve it."""

    auc_min: Fraction
    latency_p99_ms_max: Annotated[float, Field(gt=0)]


class ApprovalSpec(Frozen):
    """How long a candidate waits for a person."""

    response_timeout_hours: Annotated[int, Field(ge=1, le=24 * 90)]


class ScoringSpec(Frozen):
    """How a score becomes a decision, and how long a correction of its features makes it anew."""

    decision_threshold: Fraction
    rescore_days: Annotated[int, Field(ge=0, le=90)] = 7


class MonitoringSpec(Frozen):
    """What counts as a shift, and what counts as broken data."""

    psi_moderate: Annotated[float, Field(gt=0)]
    psi_significant: Annotated[float, Field(gt=0)]
    min_rows: Annotated[int, Field(ge=1)]
    missing_max: Fraction
    quarantined_max: Fraction
    volume_ratio_min: Annotated[float, Field(gt=0, le=1)]
    volume_ratio_max: Annotated[float, Field(ge=1)]
    price_ratio_max: Annotated[float, Field(gt=1)]
    price_days: Days

    @model_validator(mode="after")
    def _moderate_is_below_significant(self) -> MonitoringSpec:
        if self.psi_moderate >= self.psi_significant:
            raise ValueError(f"psi_moderate={self.psi_moderate} must be below psi_significant={self.psi_significant}")
        return self


class DecisionSpec(Frozen):
    """When monitoring asks for a retrain."""

    schedule: str | None
    windows: Annotated[int, Field(ge=1, le=90)]
    breaches: Annotated[int, Field(ge=1, le=90)]
    features_min: Annotated[int, Field(ge=1)]
    cooldown_days: Annotated[int, Field(ge=0, le=365)]
    budget_per_90_days: Annotated[int, Field(ge=0, le=90)]
    stop: bool

    @field_validator("schedule")
    @classmethod
    def _schedule_is_a_cron(cls, value: str | None) -> str | None:
        from croniter import CroniterBadDateError, croniter

        if value is None:
            return value
        if not croniter.is_valid(value):
            raise ValueError(f"{value!r} is not a cron expression, e.g. '0 0 1 * *' for monthly")
        try:
            croniter(value).get_next()
        except CroniterBadDateError as err:
            raise ValueError(f"{value!r} never comes; write a day that there is, e.g. '0 0 1 * *' for monthly") from err
        return value

    @model_validator(mode="after")
    def _breaches_fit_windows(self) -> DecisionSpec:
        if self.breaches > self.windows:
            raise ValueError(f"breaches={self.breaches} can't be above windows={self.windows}")
        return self


class ModelSpec(Frozen):
    """Everything that a model is, but for its code and its data.

    ``population`` is a condition over the columns of the feature group: of whom a model is asked.
    """

    model_id: Identifier
    registered_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    description: str
    owner: str
    entity: EntitySpec
    features: FeaturesSpec
    population: str
    label: LabelSpec
    training: TrainingSpec
    gates: GatesSpec
    approval: ApprovalSpec
    scoring: ScoringSpec
    monitoring: MonitoringSpec
    decision: DecisionSpec

    @field_validator("population")
    @classmethod
    def _population_is_a_condition(cls, value: str) -> str:
        columns_of(value)
        return value


def model_ids() -> tuple[str, ...]:
    """Return the ids of this deployment's models, in order: those that ship, and those that the overlay adds."""
    return spec_names(model_folders())


def model_folders() -> tuple[Path, ...]:
    """Return the folders that models are read from: the one that ships, and the overlay itself."""
    return _folders(Settings.from_env().specs_overlay)


def load_models() -> tuple[ModelSpec, ...]:
    """Return every model spec of this deployment, ordered by id."""
    return tuple(load_model(model_id) for model_id in model_ids())


def load_model(model_id: str) -> ModelSpec:
    """Return one model's spec, with the deployment's overlay laid over it.

    Raises
    ------
    SpecError
        If there is no such model, or a value isn't allowed.
    """
    return _load_model(model_id, Settings.from_env().specs_overlay)


@lru_cache(maxsize=64)
def _load_model(model_id: str, overlay_root: Path | None) -> ModelSpec:
    if overlay_root is not None and not overlay_root.is_dir():
        raise SpecError(
            f"{str(overlay_root)!r}, which MLOPS_SPECS names or the home was made with, is not a folder of overlays"
        )
    values, path = read_spec(_folders(overlay_root), model_id, kind="model")
    return validated(_schema(values, path, overlay_root), values, path)


def _folders(overlay_root: Path | None) -> tuple[Path, ...]:
    return (CONFIG_ROOT / "models", *filter(None, [overlay_root]))


def _schema(values: dict[str, Any], path: Path, overlay_root: Path | None) -> type[ModelSpec]:
    """Return the schema of a model with this kind of label."""
    label = values.get("label")
    kind = label.get("kind") if isinstance(label, dict) else None
    if not isinstance(kind, str):
        return ModelSpec
    try:
        spec = load_label_kind(kind, overlay_root).spec
    except SpecError as err:
        raise SpecError(f"{path.name}: label.kind={kind!r}: {err}") from err
    return _with_label(spec)


@lru_cache(maxsize=64)
def _with_label(label: type[LabelSpec]) -> type[ModelSpec]:
    made: type[ModelSpec] = create_model("ModelSpec", __base__=ModelSpec, label=(label, ...))
    return made
