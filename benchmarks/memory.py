"""How much memory imports, builds, training sets, scores and their measures take at most, as orders and days grow.

What belongs here: the sizes, and their budgets. What does not: what there is before (``made_up_lake``), and how a
process is watched (``side_by_side``).

Each size runs once, in a process of its own, from files on disk to a lake on disk; its peak is all that the process
held, the libraries included: what only one size needs is imported by it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.made_up_lake import (
    END,
    GROUP,
    MODEL,
    deployment_in,
    write_day,
    write_lake,
    write_log,
    write_night,
    write_scored_night,
    write_snapshots,
    write_version,
)
from benchmarks.side_by_side import peak_mb
from include.adapters.deployment import Deployment
from include.partitions import shift
from include.settings import Settings
from include.steps.build_features import build_features
from include.steps.import_source import import_file

IMPORT_MB, BUILD_MB, MODEL_MB, DAY_MB = 1_500, 2_000, 2_000, 500


@dataclass(frozen=True)
class Size:
    """One size of one thing that is done.

    Attributes
    ----------
    name : str
    prepare, run : callable
        Of a folder; each runs in a process of its own, so they must pickle.
    budget_mb : int
        What `run` may hold.
    """

    name: str
    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    budget_mb: int


def import_log(folder: Path) -> object:
    """Import the file into an empty lake."""
    deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(folder / "home")}))
    as_of = datetime(2030, 1, 1, tzinfo=UTC)
    return import_file(deployment, folder / "orders.parquet", source="orders", as_of=as_of)


def build_days(folder: Path, days: int) -> object:
    """Build the last days of the group in one backfill."""
    return build_features(deployment_in(folder), GROUP, start=shift(END, 1 - days), end=END)


def make_training_set(folder: Path) -> object:
    """Make the last training set."""
    from include.steps.build_training_set import build_training_set

    return build_training_set(deployment_in(folder), MODEL, as_of=END)


def score_night(folder: Path) -> object:
    """Score the last night."""
    from include.steps.score_batch import score_batch

    return score_batch(deployment_in(folder), MODEL, partition=END)


def measure_scores(folder: Path) -> object:
    """Measure the last night."""
    from include.steps.monitor_model import measure_night

    return measure_night(deployment_in(folder), MODEL, partition=END)


def count_day(folder: Path) -> object:
    """Judge the drift of a day, a batch of its file at a time, against its own first rows."""
    import pyarrow.parquet as pq

    from include.monitoring.drift import judge_drift
    from include.monitoring.reference_profile import build_reference_profile
    from include.monitoring.window_counts import WindowCounts

    file, window = pq.ParquetFile(folder / "day.parquet", pre_buffer=False), None
    for batch in file.iter_batches(batch_size=131_072):
        columns = {name: batch[name].to_numpy() for name in batch.schema.names}
        window = window or WindowCounts(build_reference_profile(columns))
        window.add(columns)
    assert window is not None
    return judge_drift(window, min_rows=50, moderate=0.1, significant=0.2)


def sizes(scale: float = 1.0) -> list[Size]:
    """Return what is measured, the smallest first."""

    def scaled(count: int) -> int:
        return max(1_000, int(count * scale))

    imports = [
        Size(f"import {lines:,} lines", partial(write_log, lines=lines), import_log, IMPORT_MB)
        for lines in map(scaled, (1_000_000, 3_000_000, 10_000_000))
    ]
    builds = [
        Size(
            f"build {days} days × {customers:,} customers",
            partial(write_lake, customers=customers),
            partial(build_days, days=days),
            BUILD_MB,
        )
        for days, customers in (
            (30, scaled(25_000)),
            (30, scaled(100_000)),
            (30, scaled(400_000)),
            (300, scaled(25_000)),
            (300, scaled(250_000)),
        )
    ]
    many = scaled(250_000)
    models = [
        Size(
            f"training set of {many:,} customers", partial(write_snapshots, customers=many), make_training_set, MODEL_MB
        ),
        Size("the same, and a version", partial(write_snapshots, customers=many), write_version, MODEL_MB),
        Size(f"score a night of {many:,} customers", partial(write_night, customers=many), score_night, MODEL_MB),
        Size(f"measure it, {many:,} customers", partial(write_scored_night, customers=many), measure_scores, MODEL_MB),
    ]
    days = [
        Size(f"drift of a day of {rows:,} rows × 20", partial(write_day, rows=rows, features=20), count_day, DAY_MB)
        for rows in map(scaled, (1_000_000, 10_000_000))
    ]
    return [*imports, *builds, *models, *days]


def measure(size: Size) -> tuple[float, float]:
    """Return the seconds and the peak in MB of one size."""
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        _apart(size.prepare, Path(folder))
        return _apart(size.run, Path(folder))


def _apart(work: Callable[[Path], object], folder: Path) -> tuple[float, float]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_watched, args=(theirs, work, folder))
    process.start()
    theirs.close()
    try:
        seconds, peak = ours.recv()
    except EOFError:
        raise RuntimeError("its process died") from None
    finally:
        process.join()
    return seconds, peak


def _watched(connection: Any, work: Callable[[Path], object], folder: Path) -> None:
    started = time.perf_counter()
    work(folder)
    connection.send((time.perf_counter() - started, peak_mb()))


def main(scale: float = 1.0) -> None:
    """Measure every size and show what each took."""
    print(f"\n{'memory':<44}{'seconds':>10}{'peak MB':>10}{'budget':>10}")
    for size in sizes(scale):
        seconds, peak = measure(size)
        print(f"{size.name:<44}{seconds:>10.1f}{peak:>10.0f}{size.budget_mb:>10}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 10M order lines and 250,000 customers")
    main(parser.parse_args().scale)
