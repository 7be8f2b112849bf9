"""Model and feature-group specs: YAML in, frozen values out, every mistake found at load.

What belongs here: the schema of ``include/config/models`` and ``include/config/features``.
What does not: what a value means to a computation, which is where the computation is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from include.errors import SpecError, nearest
from include.settings import PROJECT_ROOT, Settings

CONFIG_ROOT = PROJECT_ROOT / "include" / "config"

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int, Field(ge=1, le=3660)]

_Spec = TypeVar("_Spec", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class EntitySpec(_Frozen):
    """What one row is about."""

    name: Identifier
    key: Identifier


class FeaturesSpec(_Frozen):
    """Which versioned feature service the model reads, and the group it is built from."""

    service: Identifier
    group: Identifier


class LabelSpec(_Frozen):
    """What is predicted, for whom, and when it becomes known."""

    definition: Literal["no_order"]
    horizon_days: Days
    active_within_days: Days


class HyperparametersSpec(_Frozen):
    """XGBoost parameters, named as XGBoost names them."""

    n_estimators: Annotated[int, Field(ge=1, le=5000)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    max_depth: Annotated[int, Field(ge=1, le=16)]
    min_child_weight: Annotated[float, Field(ge=0)] = 1.0
    subsample: Annotated[float, Field(gt=0, le=1)] = 1.0
    colsample_bytree: Annotated[float, Field(gt=0, le=1)] = 1.0
    reg_lambda: Annotated[float, Field(ge=0)] = 1.0


class TrainingSpec(_Frozen):
    """Which examples are taken, how they are split, and how the model is fitted."""

    window_days: Days
    snapshot_every_days: Days
    test_days: Days
    min_rows: Annotated[int, Field(ge=10)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    threads: Annotated[int, Field(ge=1, le=64)]
    bootstrap_samples: Annotated[int, Field(ge=100, le=10_000)]
    hyperparameters: HyperparametersSpec


class GatesSpec(_Frozen):
    """Thresholds a candidate must meet before anyone is asked to approve it."""

    auc_min: Fraction
    latency_p99_ms_max: Annotated[float, Field(gt=0)]


class ApprovalSpec(_Frozen):
    """How long a candidate waits for a person."""

    response_timeout_hours: Annotated[int, Field(ge=1, le=24 * 90)]


class ScoringSpec(_Frozen):
    """How a score becomes a decision."""

    decision_threshold: Fraction


class MonitoringSpec(_Frozen):
    """What counts as a shift, and what counts as broken data."""

    psi_moderate: Annotated[float, Field(gt=0)]
    psi_significant: Annotated[float, Field(gt=0)]
    min_rows: Annotated[int, Field(ge=1)]
    missing_max: Fraction
    quarantined_max: Fraction
    volume_ratio_min: Annotated[float, Field(gt=0, le=1)]
    volume_ratio_max: Annotated[float, Field(ge=1)]
    price_ratio_max: Annotated[float, Field(gt=1)]

    @model_validator(mode="after")
    def _moderate_is_below_significant(self) -> MonitoringSpec:
        if self.psi_moderate >= self.psi_significant:
            raise ValueError(f"psi_moderate={self.psi_moderate} must be below psi_significant={self.psi_significant}")
        return self


class DecisionSpec(_Frozen):
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
        from croniter import croniter

        if value is not None and not croniter.is_valid(value):
            raise ValueError(f"{value!r} is not a cron expression, e.g. '0 0 1 * *' for monthly")
        return value

    @model_validator(mode="after")
    def _breaches_fit_windows(self) -> DecisionSpec:
        if self.breaches > self.windows:
            raise ValueError(f"breaches={self.breaches} can't be above windows={self.windows}")
        return self


class ModelSpec(_Frozen):
    """Everything that a model is, but for its code and its data."""

    model_id: Identifier
    registered_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    description: str
    owner: str
    entity: EntitySpec
    features: FeaturesSpec
    label: LabelSpec
    training: TrainingSpec
    gates: GatesSpec
    approval: ApprovalSpec
    scoring: ScoringSpec
    monitoring: MonitoringSpec
    decision: DecisionSpec


class ColumnSpec(_Frozen):
    """One feature: its name, Arrow dtype, unit, meaning, bounds, and the fraction of a partition that may be null."""

    name: Identifier
    dtype: Literal["int64", "float32", "float64", "string"]
    unit: str
    meaning: str
    min: float | None = None
    max: float | None = None
    nulls_max: Fraction = 0.0


class VolumeSpec(_Frozen):
    """How many rows a partition may have, as a ratio to the one of the same weekday a week before.

    It is judged only where the earlier partition has at least ``rows_min`` rows.
    """

    rows_min: Annotated[int, Field(ge=1)]
    ratio_min: Annotated[float, Field(ge=0, le=1)] | None
    ratio_max: Annotated[float, Field(ge=1)] | None


class FeatureGroupSpec(_Frozen):
    """A feature group: one SQL statement, one table, one Feast view.

    ``source`` is the lake table that the statement reads, ``freshness_days`` how old its newest day may be
    at the end of a partition.
    """

    group: Identifier
    description: str
    owner: str
    entity: EntitySpec
    source: Annotated[str, Field(pattern=r"^(raw/orders|predictions/[a-z][a-z0-9_]*)$")] = "raw/orders"
    ttl_days: Days
    freshness_days: Days
    volume: VolumeSpec
    columns: Annotated[tuple[ColumnSpec, ...], Field(strict=False, min_length=1)]

    @property
    def scored_by(self) -> str | None:
        """The model whose predictions are written back as this group; None where it is built from orders."""
        kind, _, name = self.source.partition("/")
        return name if kind == "predictions" else None

    @property
    def relation(self) -> str:
        """What the group's statement calls its source."""
        return "predictions" if self.scored_by else "orders"

    @property
    def table(self) -> str:
        """The group's lake table."""
        return f"features/{self.group}"

    @property
    def sql_path(self) -> Path:
        """The group's definition."""
        return PROJECT_ROOT / "include" / "features" / f"{self.group}.sql"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)


def load_models() -> tuple[ModelSpec, ...]:
    """Return every model spec of this deployment, ordered by id."""
    return tuple(load_model(path.stem) for path in sorted((CONFIG_ROOT / "models").glob("*.yaml")))


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
    path = CONFIG_ROOT / "models" / f"{model_id}.yaml"
    values = _read(path, kind="model")
    if overlay_root is not None:
        if not overlay_root.is_dir():
            raise SpecError(f"MLOPS_SPECS={str(overlay_root)!r} is not a folder of overlays")
        overlay = overlay_root / f"{model_id}.yaml"
        if overlay.exists():
            values = _laid_over(values, _read(overlay, kind="overlay"), overlay)
            path = overlay
    return _validated(ModelSpec, values, path)


def load_feature_groups() -> tuple[FeatureGroupSpec, ...]:
    """Return every feature group's spec, ordered by name."""
    return tuple(load_feature_group(path.stem) for path in sorted((CONFIG_ROOT / "features").glob("*.yaml")))


@lru_cache(maxsize=64)
def load_feature_group(group: str) -> FeatureGroupSpec:
    """Return one feature group's spec.

    Raises
    ------
    SpecError
        If there is no such group, or a value isn't allowed.
    """
    path = CONFIG_ROOT / "features" / f"{group}.yaml"
    return _validated(FeatureGroupSpec, _read(path, kind="feature group"), path)


def _read(path: Path, *, kind: str) -> dict[str, Any]:
    if not path.exists():
        known = sorted(other.stem for other in path.parent.glob("*.yaml"))
        raise SpecError(f"there is no {kind} {path.stem!r}; known: {', '.join(known)}{nearest(path.stem, known)}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as err:
        raise SpecError(f"{path.name} is not YAML: {' '.join(str(err).split())}") from err
    if not isinstance(values, dict):
        raise SpecError(f"{path.name} must be a mapping of keys to values, found {type(values).__name__}")
    return values


def _laid_over(base: dict[str, Any], overlay: dict[str, Any], path: Path, prefix: str = "") -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for key, value in overlay.items():
        if key not in merged:
            raise SpecError(
                f"{path.name}: unknown key {prefix + key!r}; allowed: {', '.join(merged)}{nearest(key, merged)}"
            )
        if isinstance(merged[key], dict) and isinstance(value, dict):
            merged[key] = _laid_over(merged[key], value, path, f"{prefix}{key}.")
        else:
            merged[key] = value
    return merged


def _validated(model: type[_Spec], values: dict[str, Any], path: Path) -> _Spec:
    try:
        return model.model_validate(values)
    except ValidationError as err:
        raise SpecError("; ".join(_messages(model, err, path))) from err


def _messages(model: type[BaseModel], err: ValidationError, path: Path) -> Iterator[str]:
    for problem in err.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            allowed = _keys_at(model, problem["loc"][:-1])
            key = str(problem["loc"][-1])
            yield f"{path.name}: unknown key {where!r}; allowed: {', '.join(allowed)}{nearest(key, allowed)}"
        elif problem["type"] == "missing":
            yield f"{path.name}: {where} is missing"
        else:
            yield f"{path.name}: {where}={problem['input']!r}: {problem['msg']}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, str) and part in current.model_fields:
            current = _model_in(current.model_fields[part].annotation) or current
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple, Annotated):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None
