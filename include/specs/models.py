"""Model specs: YAML in, frozen values out, every mistake found at load.

What belongs here: the schema of ``include/config/models``, and reading its files. What does not: its sections
(``model_sections``), and what a value means to a computation, which is where the computation is.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, create_model, field_validator

from include.errors import SpecError
from include.settings import Settings
from include.specs.conditions import columns_of
from include.specs.groups import EntitySpec
from include.specs.labels import LabelSpec, load_label_kind
from include.specs.model_sections import (
    ApprovalSpec,
    DecisionSpec,
    FeaturesSpec,
    GatesSpec,
    MonitoringSpec,
    ScoringSpec,
    TrainingSpec,
)
from include.specs.yaml_files import CONFIG_ROOT, Frozen, Identifier, read_spec, spec_names, validated


class ModelSpec(Frozen):
    """Everything that a model is, but for its code and its data."""

    model_id: Annotated[Identifier, Field(description="the file's name")]
    registered_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", description="its name in the registry")]
    description: Annotated[str, Field(description="what a score means, in a sentence")]
    owner: Annotated[str, Field(description="who answers for it")]
    entity: EntitySpec
    features: FeaturesSpec
    population: Annotated[
        str, Field(description="of whom the model is asked: a SQL condition over the columns of the feature group")
    ]
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


def make_model(values: dict[str, Any], path: Path) -> ModelSpec:
    """Return values as a model's spec.

    Parameters
    ----------
    path : Path
        Where they are from, for messages.

    Raises
    ------
    SpecError
        If a value isn't allowed.
    """
    return _make_model(values, path, Settings.from_env().specs_overlay)


@lru_cache(maxsize=64)
def _load_model(model_id: str, overlay_root: Path | None) -> ModelSpec:
    if overlay_root is not None and not overlay_root.is_dir():
        raise SpecError(
            f"{str(overlay_root)!r}, which MLOPS_SPECS names or the home was made with, is not a folder of overlays"
        )
    values, path = read_spec(_folders(overlay_root), model_id, kind="model")
    return _make_model(values, path, overlay_root)


def _make_model(values: dict[str, Any], path: Path, overlay_root: Path | None) -> ModelSpec:
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
