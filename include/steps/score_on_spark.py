"""Score a night by Spark: each task reads a part of the pinned files, and scores it as the native path does.

What belongs here: what a task is told, and what it answers. What does not: Spark itself
(``adapters.compute.spark_compute``), reading and scoring a slice (``read_night``, ``score_night``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.compute.spark_compute import SparkCompute
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.portions import ROWS_AT_ONCE
from include.errors import MlopsError, one_line
from include.scoring.manifest import NightAccount
from include.specs.models import load_model
from include.steps.read_night import Night, Part
from include.steps.score_night import ChallengerError, Scored, Scorer, score_slice

if TYPE_CHECKING:
    from include.adapters.registry.model_files import LoadedModel
    from include.scoring.model import Engine

_ROLE, _ACCOUNT, _FAILED = b"role", b"account", b"failed"


@dataclass(frozen=True)
class _Told:
    """A version in a role."""

    role: str
    model_version: int
    engine: Engine
    loaded: LoadedModel
    is_beside: bool


@dataclass(frozen=True)
class _Work:
    """What a task knows of the night: values alone, as it runs in a process of its own, maybe on another machine."""

    lake_uri: str
    storage_options: dict[str, str]
    memory_limit: str
    specs: Path | None
    model_id: str
    partition: str
    service: str
    sources: dict[str, int]
    scorers: tuple[_Told, ...]
    rows_at_once: int | None

    def __call__(self, part: Sequence[int] | None) -> Iterator[bytes]:
        """Yield the predictions of each slice of a part in each role."""
        scorers, asked = self._open(), None if part is None else (part[0], part[1])
        for stored in scorers[0].night.slices(rows_at_once=self.rows_at_once, part=asked):
            try:
                account, made = score_slice(scorers, stored)
            except ChallengerError as err:
                yield _written(pa.table({}), {_FAILED: one_line(err.__cause__ or err)})
                return
            for role, rows in made.items():
                yield _written(rows, {_ROLE: role, _ACCOUNT: json.dumps(asdict(account))})

    def _open(self) -> list[Scorer]:
        if self.specs is not None:
            os.environ["MLOPS_SPECS"] = str(self.specs)
        # What reading a slice asks of a deployment.
        reader: Any = SimpleNamespace(
            lake=LakeAdapter(self.lake_uri, self.storage_options), duckdb=DuckDbCompute(self.memory_limit)
        )
        night = Night(reader, load_model(self.model_id), self.partition, self.service, self.sources)
        return [Scorer(night=night, **vars(each)) for each in self.scorers]


def on_spark(scorers: Sequence[Scorer], rows_at_once: int | None) -> Iterator[Scored]:
    """Score the slices of a night by Spark, and yield what comes of them in order."""
    night = scorers[0].night
    parts: list[Part | None] = [None] if rows_at_once is None else [*night.parts(rows_at_once=ROWS_AT_ONCE)]
    lake, settings = night.deployment.lake, night.deployment.settings
    told = tuple(_Told(each.role, each.model_version, each.engine, each.loaded, each.is_beside) for each in scorers)
    work = _Work(
        lake.uri, lake.storage_options, settings.memory_limit, settings.specs_overlay, night.spec.model_id,
        night.partition, night.service, night.sources, told, rows_at_once,
    )  # fmt: skip
    purpose = f"the scores of {night.spec.model_id} {night.partition}"
    return map(_read, SparkCompute(settings.memory_limit).map_in_order(work, parts, purpose=purpose))


def _written(rows: pa.Table, words: dict[bytes, str]) -> bytes:
    told = rows.replace_schema_metadata(words)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, told.schema) as writer:
        writer.write_table(told)
    return bytes(sink.getvalue())


def _read(answer: bytes) -> Scored:
    rows = pa.ipc.open_stream(answer).read_all()
    words = {name: value.decode() for name, value in rows.schema.metadata.items()}
    if _FAILED in words:
        raise ChallengerError from MlopsError(words[_FAILED])
    account = NightAccount(**json.loads(words[_ACCOUNT]))
    return account, {words[_ROLE]: rows.replace_schema_metadata(None)}
