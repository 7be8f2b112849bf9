"""A lake with feature rows that are made up, and boosters that score them: what scoring needs, in a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost
import yaml

from include import partitions
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.registry.model_files import LoadedModel
from include.errors import MlopsError
from include.governance.lifecycle import LedgerMove, Stage, production_at
from include.scoring.model import ScoringModel
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.specs.services import load_feature_service
from include.specs.yaml_files import forget_names
from include.training.artifacts import Signature
from include.training.fitting import to_bytes
from tests.deployments import lake_only
from tests.unit.steps.fakes import FakeState

NIGHT = "2024-03-10"
BEFORE = partitions.shift(NIGHT, -1)


class Ledger(FakeState):
    """A ledger of moves, and what was published."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[LedgerMove] = []

    def move(self, model_id: str, version: int, stage: Stage, *, at: str = BEFORE) -> None:
        """Put a version into a stage, the newest published night being `at`."""
        seq = len(self.moves) + 1
        self.moves.append(LedgerMove(model_id, seq, version, Stage.NONE, stage, at, "ada", "because"))

    def ledger(self, model_id: str) -> tuple[LedgerMove, ...]:
        return tuple(move for move in self.moves if move.model_id == model_id)

    def production_version_at(self, model_id: str, partition: str) -> int | None:
        return production_at(self.ledger(model_id), partition)

    def nights(self, _model_id: str, *, since: str, until: str) -> list[dict[str, Any]]:
        """Say that no night was measured."""
        return []


class Versions:
    """A registry: a booster of its own for each version, trained on made-up rows of a feature service."""

    def __init__(self, services: Mapping[tuple[str, int], str]) -> None:
        self.services = dict(services)
        self.unreadable: set[int] = set()

    def load(self, name: str, version: int, *, registered: Mapping[str, str] | None) -> LoadedModel:
        if version in self.unreadable:
            raise MlopsError(f"{name} version {version} can't be read")
        model_id = next(model for model, known in self.services if known == version and _name(model) == name)
        spec = load_model(model_id)
        service = load_feature_service(self.services[model_id, version])
        signature = Signature(
            service.service, spec.entity.keys, tuple((each, "float64") for each in service.feature_names), spec.task
        )
        native = booster(len(service.feature_names), version, spec.task)
        model: Any = ScoringModel(signature.feature_names, native=native, onnx=b"")
        unread: Any = None
        return LoadedModel(model, signature, unread, {}, unread)


@cache
def _name(model_id: str) -> str:
    return load_model(model_id).registered_name


@cache
def booster(width: int, seed: int, task: str = "binary", *, trees: int = 12) -> bytes:
    """Return a booster that tells rows of this width apart."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(20, 15, (2_000, width)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    labels = (np.nansum(matrix * rng.normal(size=width), axis=1) > 0).astype(int)
    objective = {"binary": "binary:logistic", "ranking": "rank:ndcg"}[task]
    rows = xgboost.DMatrix(matrix, labels, **({"qid": np.arange(2_000) // 10} if task == "ranking" else {}))
    return to_bytes(xgboost.train({"objective": objective, "max_depth": 4, "seed": seed}, rows, trees))


def scoring_lake(folder: Path, services: Mapping[tuple[str, int], str]) -> Any:
    """Return a deployment in a folder whose lake is empty and whose registry has these versions."""
    made: SimpleNamespace = lake_only(folder)
    made.state, made.model_registry = Ledger(), Versions(services)
    return made


def feature_rows(
    group: str,
    entities: Sequence[tuple[str, ...]],
    night: str = NIGHT,
    *,
    seed: int = 0,
    known_after: timedelta = timedelta(0),
    **values: Any,
) -> pa.Table:
    """Return a row of each entity, sorted by them; features are whole numbers from 0 to 40 but where `values` says."""
    spec, rng, count = load_feature_group(group), np.random.default_rng(seed), len(entities)
    at = partitions.end_of(night)
    columns: dict[str, Any] = {key: [entity[n] for entity in entities] for n, key in enumerate(spec.entity.keys)}
    columns |= {"event_timestamp": [at] * count, "created_timestamp": [at + known_after] * count}
    columns |= {name: rng.integers(0, 40, count) for name in spec.feature_names}
    columns |= {"dt": [date.fromisoformat(night)] * count, **values}
    schema = spec.lake_table.arrow_schema()
    made = pa.table({name: pa.array(columns[name]).cast(schema.field(name).type) for name in schema.names})
    return made.sort_by([(name, "ascending") for name in (*spec.entity.keys, "event_timestamp", "created_timestamp")])


def publish(deployment: Any, group: str, rows: pa.Table, night: str = NIGHT) -> None:
    """Write a night's feature rows as they are, and say that they are published."""
    table = load_feature_group(group).table
    lake: LakeAdapter = deployment.lake
    written = lake.replace(table, rows, keys=[night])
    deployment.state.record_publications(table, [(night, rows.num_rows)], written.version)


def write_scoring(folder: Path, model_id: str, **said: Any) -> None:
    """Write keys of a model's section on scoring into its file, and have it read anew."""
    path = folder / f"{model_id}.yaml"
    values = yaml.safe_load(path.read_text())
    values["scoring"] = {**values.get("scoring", {}), **said}
    path.write_text(yaml.safe_dump(values))
    forget_names()


def break_a_second_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the version that reads four features break at its second slice."""
    real, calls = ScoringModel.predict, [0]

    def predict(self: ScoringModel, matrix: Any, **how: Any) -> Any:
        is_wider = len(self.feature_names) == 4
        calls[0] += is_wider
        if is_wider and calls[0] > 1:
            raise ValueError("no such tree")
        return real(self, matrix, **how)

    monkeypatch.setattr(ScoringModel, "predict", predict)
