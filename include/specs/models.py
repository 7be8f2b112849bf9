"""Model specs: YAML in, frozen values out, every mistake found at load.

What belongs here: the schema of ``include/config/models``, and reading its files. What does not: its sections
(``model_sections``), and what a value means to a computation, which is where the computation is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, create_model, field_validator, model_validator

from include.errors import SpecError, nearest
from include.settings import Settings
from include.specs.conditions import columns_of
from include.specs.groups import EntitySpec
from include.specs.labels import LabelSpec, load_label_kind
from include.specs.model_sections import (
    ApprovalSpec,
    BinaryGatesSpec,
    BinaryScoringSpec,
    DecisionSpec,
    FeaturesSpec,
    GatesSpec,
    MonitoringSpec,
    RankingGatesSpec,
    RankingSpec,
    ScoringSpec,
    TrainingSpec,
)
from include.specs.serving_section import ServingSpec
from include.specs.spec_keys import spec_keys
from include.specs.yaml_files import (
    CONFIG_ROOT,
    Frozen,
    Name,
    Owner,
    kept,
    read_spec,
    require_overlay,
    spec_names,
    validated,
)
from include.tables import Word

Task: TypeAlias = Literal["binary", "ranking"]


class ModelSpec(Frozen):
    """Everything that a model is, but for its code and its data; each task has keys of its own beside these."""

    model_id: Annotated[Name, Field(description="the file's name")]
    registered_name: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=100, description="its name in the registry")
    ]
    description: Annotated[str, Field(description="what a score means, in a sentence")]
    owner: Owner
    task: Annotated[Task, Field(description="what is learnt: who says yes, or which items come first in a list")]
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
    serving: ServingSpec = ServingSpec()

    @field_validator("population")
    @classmethod
    def _population_is_a_condition(cls, value: str) -> str:
        columns_of(value)
        return value

    @property
    def decides_by(self) -> Mapping[str, float]:
        """What makes a decision of a score, by the name of its key."""
        raise NotImplementedError

    @property
    def predicted(self) -> Mapping[str, Word]:
        """The columns that follow from a score, and their types."""
        raise NotImplementedError


class BinaryModelSpec(ModelSpec):
    """A model that gives each entity the probability of a yes."""

    gates: BinaryGatesSpec
    scoring: BinaryScoringSpec

    @property
    def decides_by(self) -> Mapping[str, float]:
        """The threshold."""
        return {"decision_threshold": self.scoring.decision_threshold}

    @property
    def predicted(self) -> Mapping[str, Word]:
        """The decision."""
        return {"decision": "bool"}


class RankingModelSpec(ModelSpec):
    """A model that orders the items of each list."""

    ranking: RankingSpec
    gates: RankingGatesSpec

    @model_validator(mode="after")
    def _keys_make_lists(self) -> RankingModelSpec:
        if len(self.entity.keys) < 2:
            raise ValueError(
                f"entity.keys=[{', '.join(self.entity.keys)}] makes no lists, which task: ranking orders: the last key "
                "names the items, those before it whom a list is for; take an entity of two keys, or task: binary"
            )
        if self.decision.estimated:
            raise ValueError(
                "decision.estimated=true asks by an estimate that a ranking has none of: its score is no chance; leave "
                "it out"
            )
        return self

    @property
    def list_keys(self) -> tuple[str, ...]:
        """Whom a list is for."""
        return self.entity.keys[:-1]

    @property
    def item_key(self) -> str:
        """What is in a list."""
        return self.entity.keys[-1]

    @property
    def decides_by(self) -> Mapping[str, float]:
        """The places that are read."""
        return {"top_k": self.ranking.top_k}

    @property
    def predicted(self) -> Mapping[str, Word]:
        """The place in the list, 1 for the first, and whether it is read."""
        return {"rank": "int32", "decision": "bool"}


TASKS: Mapping[Task, type[ModelSpec]] = {"binary": BinaryModelSpec, "ranking": RankingModelSpec}


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


@kept
def _load_model(model_id: str, overlay_root: Path | None) -> ModelSpec:
    require_overlay(overlay_root)
    values, path = read_spec(_folders(overlay_root), model_id, kind="model")
    return _make_model(values, path, overlay_root)


def _make_model(values: dict[str, Any], path: Path, overlay_root: Path | None) -> ModelSpec:
    return validated(_schema(values, path, overlay_root), values, path)


def _folders(overlay_root: Path | None) -> tuple[Path, ...]:
    return (CONFIG_ROOT / "models", *filter(None, [overlay_root]))


def _schema(values: dict[str, Any], path: Path, overlay_root: Path | None) -> type[ModelSpec]:
    """Return the schema of a model of this task, with this kind of label."""
    schema = _of_task(values, path)
    label = values.get("label")
    kind = label.get("kind") if isinstance(label, dict) else None
    if not isinstance(kind, str):
        return schema
    try:
        spec = load_label_kind(kind, overlay_root).spec
    except SpecError as err:
        raise SpecError(f"{path.name}: label.kind={kind!r}: {err}") from err
    return _with_label(schema, spec)


def _of_task(values: dict[str, Any], path: Path) -> type[ModelSpec]:
    said = values.get("task")
    if said is None:
        raise SpecError(f"{path.name}: task ({' or '.join(TASKS)}) is missing")
    task = next((task for task in TASKS if task == said), None)
    if task is None:
        raise SpecError(f"{path.name}: task={said!r}; allowed: {', '.join(TASKS)}{nearest(str(said), TASKS)}")
    if wrong := list(_of_other_tasks(values, task)):
        raise SpecError(*(f"{path.name}: {said}" for said in wrong))
    return TASKS[task]


def _of_other_tasks(values: dict[str, Any], task: Task) -> Iterator[str]:
    """Say which keys a model of this task has that are another task's."""
    own = ", ".join(_own_keys(task))
    for other in TASKS:
        for key in _own_keys(other) if other != task else ():
            if _names(values, key):
                yield f"{key} is a key of task: {other}; task: {task} has {own} in its place"


@cache
def _own_keys(task: Task) -> tuple[str, ...]:
    """Return the keys that only one task has."""
    others = {line.key for other, schema in TASKS.items() if other != task for line in spec_keys(schema)}
    return tuple(line.key for line in spec_keys(TASKS[task]) if line.key not in others)


def _names(values: object, key: str) -> bool:
    first, _, rest = key.partition(".")
    if not isinstance(values, dict) or first not in values:
        return False
    return _names(values[first], rest) if rest else True


@lru_cache(maxsize=64)
def _with_label(schema: type[ModelSpec], label: type[LabelSpec]) -> type[ModelSpec]:
    made: type[ModelSpec] = create_model(schema.__name__, __base__=schema, label=(label, ...))
    return made
