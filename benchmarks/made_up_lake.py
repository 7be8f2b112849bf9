"""Files and lakes of made-up customers, for what is measured from disk to disk.

What belongs here: what is there before something is measured, and a deployment on it without databases. What does not:
the order lines themselves (``customer_daily``), and what is measured (``memory``).

Customers have `LINES_PER_CUSTOMER` lines in two years: most buy seldom.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.customer_daily import DAYS, FIRST_DAY, make_orders
from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.partitions import key_of, span
from include.settings import Settings
from include.steps.build_features import build_features
from tests.raw_orders import DELIVERIES, ORDERS

if TYPE_CHECKING:
    from include.adapters.registry.model_files import LoadedModel

END = key_of(FIRST_DAY + timedelta(days=DAYS - 1))
GROUP, MODEL = "customer_daily", "churn"
LINES_PER_CUSTOMER = 3

_PIECE = 1_000_000


class _State:
    """What steps ask of the state, of a deployment that has nothing but a lake."""

    def __init__(self, lake: LakeAdapter) -> None:
        self._lake = lake

    def publications(self, target: str) -> dict[str, int]:
        """Return the rows of each partition of a table."""
        counts: dict[str, int] = {}
        if self._lake.exists(target):
            for file in pa.table(self._lake.delta(target).get_add_actions(flatten=True)).to_pylist():
                key = str(file["partition.dt"])
                counts[key] = counts.get(key, 0) + file["num_records"]
        return counts

    def production_version_at(self, _model_id: str, _partition: str) -> int:
        """Return the one version that there is."""
        return 1

    def alone(self, _work: str, *, not_during: str | None = None) -> AbstractContextManager[None]:
        """Let in whoever asks: nobody else is there."""
        return nullcontext()

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: {}


class _OneVersion:
    """A registry of one version, which lies in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, _name: str, _version: int, *, registered: Mapping[str, str] | None) -> LoadedModel:
        """Return the version."""
        from include.adapters.registry.model_files import list_files, unpack

        return unpack(list_files(self._folder))


def deployment_in(folder: Path) -> Any:
    """Return a deployment whose lake and version lie in a folder."""
    engines = Deployment(Settings.from_env({"MLOPS_HOME": str(folder)}))
    lake = LakeAdapter((folder / "lake").as_uri())
    return SimpleNamespace(
        settings=engines.settings,
        lake=lake,
        compute=engines.compute,
        duckdb=engines.duckdb,
        state=_State(lake),
        model_registry=_OneVersion(folder / "version"),
    )


def write_log(folder: Path, lines: int) -> None:
    """Write a file of order lines as a shop would export it, a million at a time."""
    with pq.ParquetWriter(folder / "orders.parquet", _log_of(1_000, 0).schema) as writer:
        for number, first in enumerate(range(0, lines, _PIECE)):
            writer.write_table(_log_of(min(_PIECE, lines - first), number), row_group_size=250_000)


def _log_of(lines: int, seed: int) -> pa.Table:
    made = make_orders(lines, seed=seed)
    prefix = pa.array([f"{seed}-"] * made.num_rows)
    order = pa.compute.binary_join_element_wise(prefix, made["order_id"], "")
    nothing = pa.nulls(made.num_rows, pa.string())
    return (
        made.set_column(0, "order_id", order)
        .drop_columns(["dt"])
        .append_column("category", nothing)
        .append_column("country", nothing)
    )


def write_lake(folder: Path, customers: int, lines_per_customer: int = LINES_PER_CUSTOMER) -> None:
    """Write a lake with the orders of so many customers."""
    lake, keys = LakeAdapter((folder / "lake").as_uri()), span(key_of(FIRST_DAY), END)
    made = make_orders(customers * lines_per_customer, lines_per_customer=lines_per_customer)
    lake.replace(ORDERS.name, made, keys=keys)
    counts = dict.fromkeys(("rows_in", "rows_published", "rows_quarantined"), 1)
    records = [
        {"month": f"{day:%Y-%m}", "dt": day, "source": "made up", "rules": "{}", "has_arrived": True, **counts}
        for day in _days(keys)
    ]
    lake.replace(
        DELIVERIES.name,
        pa.Table.from_pylist(records, schema=DELIVERIES.arrow_schema()),
        keys=sorted({key[:7] for key in keys}),
        partition_by=DELIVERIES.partition_by,
    )


def _days(keys: list[str]) -> list[date]:
    return [FIRST_DAY + timedelta(days=n) for n in range(len(keys))]


def write_snapshots(folder: Path, customers: int, lines_per_customer: int = LINES_PER_CUSTOMER) -> None:
    """Write a lake with the features that the last training set reads."""
    from include.question.labels import snapshot_days
    from include.specs.models import load_model

    write_lake(folder, customers, lines_per_customer)
    spec = load_model(MODEL)
    for day in snapshot_days(END, spec.label, spec.training):
        build_features(deployment_in(folder), GROUP, start=day, end=day)


def write_version(folder: Path) -> None:
    """Train a version on the last training set."""
    from include.adapters.lake.training_sets import read_training_set
    from include.adapters.registry.model_files import write_files
    from include.specs.models import load_model
    from include.steps.build_training_set import build_training_set
    from include.training.version import train_version

    deployment, spec = deployment_in(folder), load_model(MODEL)
    built = build_training_set(deployment, MODEL, as_of=END)
    manifest, examples = read_training_set(deployment.lake, MODEL, built.set_id)
    write_files(folder / "version", train_version(spec, manifest, examples).files)


def write_night(folder: Path, customers: int, lines_per_customer: int = LINES_PER_CUSTOMER) -> None:
    """Write a lake with the features of its last day, and a version that was trained on fewer customers."""
    few = folder / "few"
    write_snapshots(few, max(1_000, customers // 25))
    write_version(few)
    (few / "version").rename(folder / "version")
    write_lake(folder, customers, lines_per_customer)
    build_features(deployment_in(folder), GROUP, start=END, end=END)


def write_scored_night(folder: Path, customers: int) -> None:
    """Write a lake with the scores of its last day."""
    from include.steps.score_batch import score_batch

    write_night(folder, customers)
    score_batch(deployment_in(folder), MODEL, partition=END)


def write_day(folder: Path, rows: int, features: int) -> None:
    """Write a file of so many rows and features, half of them counts, as large as a night's of a large shop."""
    rng = np.random.default_rng(18)
    names = [f"feature_{number}" for number in range(features)]
    schema = pa.schema([pa.field(name, pa.float64()) for name in names])
    with pq.ParquetWriter(folder / "day.parquet", schema) as writer:
        for first in range(0, rows, _PIECE):
            count = min(_PIECE, rows - first)
            columns = [
                rng.lognormal(size=count) if number % 2 else rng.poisson(3, count).astype(np.float64)
                for number in range(features)
            ]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=250_000)
