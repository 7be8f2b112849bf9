"""A night's scores, from feature files on disk to predictions on disk: this project, engines by hand, spark_udf.

What belongs here: the night that is made up for it, the contenders, and the proof that their scores are equal. What
does not: what one night of the shipped model holds in memory (``memory``).

The night is one partition of a group of 20 doubles with a text key, as the lake keeps it; the model has 500 trees of
depth 6. Every contender reads the same files, takes both cores, holds a part of the rows at a time, and writes the key,
the score and the decision of each row as parquet. This project writes its table of predictions, checks the files that
it reads, and commits. MLflow's ``spark_udf`` has the booster in MLflow's own flavour, and Spark reads and writes. A
Spark is up before the clock starts, this project's after its first round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import yaml

from benchmarks.made_up_lake import deployment_in
from benchmarks.side_by_side import Contender, Race, race
from include.partitions import end_of, parse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from include.adapters.registry.model_files import LoadedModel
    from include.scoring.model import Engine

ROWS, MOST_ROWS, FEATURES, TREES, DEPTH = 1_000_000, 10_000_000, 20, 500, 6
NIGHT = "2024-01-31"
MODEL, GROUP, KEY = "wide", "wide_daily", "customer_id"
NAMES = [f"f{n:02}" for n in range(FEATURES)]
ROWS_BY_HAND = 100_000

_UNREAD: Any = None
_HERE = "benchmarks.batch_scoring"
_OURS, _OURS_ON_SPARK = "this project", "this project, on Spark"
_PIECE = 1_000_000


def this_project(root: str) -> Callable[[], object]:
    """Return `score_batch` of the night, which has no scores yet."""
    os.environ["MLOPS_SPECS"] = str(Path(root) / "specs")
    from include.adapters.lake import checked_files
    from include.steps.score_batch import score_batch

    deployment = deployment_in(Path(root))
    deployment.model_registry = _Registry(Path(root))

    def run() -> object:
        # A night is read by a process that has not seen its files.
        checked_files._checked.clear()
        return score_batch(deployment, MODEL, partition=NIGHT)

    return run


class _Registry:
    def __init__(self, root: Path) -> None:
        self._root = root

    def load(self, _name: str, _version: int, *, registered: Mapping[str, str] | None) -> LoadedModel:
        from include.adapters.registry.model_files import LoadedModel
        from include.scoring.model import ScoringModel
        from include.training.artifacts import Signature

        names = tuple((name, "float64") for name in NAMES)
        native, onnx = (self._root / "model.ubj").read_bytes(), (self._root / "model.onnx").read_bytes()
        onedal = self._root / "model.onedal"
        model = ScoringModel(NAMES, native=native, onnx=onnx, onedal=onedal.read_bytes() if onedal.exists() else None)
        signature = Signature(f"{GROUP}_v1", (KEY,), names, "binary")
        engine: Engine = "onedal" if onedal.exists() else "native"
        return LoadedModel(model, signature, _UNREAD, {}, _UNREAD, engine=engine)


def xgboost_by_hand(root: str) -> Callable[[], None]:
    """Return a loop of `inplace_predict`."""
    import xgboost

    booster = xgboost.Booster(model_file=str(Path(root) / "model.ubj"))
    return partial(_stream, root, "xgboost", booster.inplace_predict)


def onnx_by_hand(root: str) -> Callable[[], None]:
    """Return a loop of ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(Path(root) / "model.onnx"), providers=["CPUExecutionProvider"])
    return partial(_stream, root, "onnx", lambda matrix: session.run(None, {"features": matrix})[-1][:, 1])


def spark_udf(root: str) -> Callable[[], None]:
    """Return MLflow's `spark_udf`, of the same Spark as this project has."""
    import mlflow
    import xgboost
    from pyspark.sql import functions

    from include.adapters.compute.spark_compute import SparkCompute

    spark, model = SparkCompute()._session, Path(root) / "mlflow"
    booster = xgboost.Booster(model_file=str(Path(root) / "model.ubj"))
    mlflow.xgboost.save_model(booster, str(model), pip_requirements=["xgboost"])
    score = mlflow.pyfunc.spark_udf(spark, str(model), result_type="float", env_manager="local")

    def run() -> None:
        rows = spark.read.parquet(str(Path(root) / "lake" / "features" / GROUP))
        scored = rows.select(KEY, score(functions.struct(*NAMES)).alias("score"))
        decided = scored.withColumn("decision", scored["score"] >= 0.5)
        decided.write.mode("overwrite").parquet(str(Path(root) / "spark_udf"))

    return run


def _stream(root: str, name: str, predict: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    with _writer(Path(root) / f"{name}.parquet") as writer:
        for batch in _batches(root):
            columns = [batch[name].to_numpy(zero_copy_only=False) for name in NAMES]
            scores = predict(np.column_stack(columns).astype(np.float32))
            writer.write_batch(
                pa.record_batch({KEY: batch[KEY], "score": scores, "decision": scores >= 0.5}, schema=_SCORED)
            )


_SCORED = pa.schema({KEY: pa.string(), "score": pa.float32(), "decision": pa.bool_()})


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, _SCORED)


def _batches(root: str) -> Iterator[pa.RecordBatch]:
    for path in sorted((Path(root) / "lake" / "features" / GROUP).rglob("*.parquet")):
        yield from pq.ParquetFile(path).iter_batches(ROWS_BY_HAND, columns=[KEY, *NAMES])


def write_night(root: Path, rows: int, *, compute: str = "local") -> None:
    """Write the specs, the version and the night's features."""
    _write_specs(root / "specs", compute)
    _write_version(root)
    deployment_in(root).lake.rewrite(f"features/{GROUP}", [NIGHT], lambda _: _features(rows))


def _features(rows: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(0)
    at = pa.scalar(end_of(NIGHT), pa.timestamp("us", tz="UTC"))
    for first in range(0, rows, _PIECE):
        count = min(_PIECE, rows - first)
        keys = pc.utf8_lpad(pa.array(np.arange(first, first + count)).cast(pa.string()), width=9, padding="0")
        times = dict.fromkeys(("event_timestamp", "created_timestamp"), pa.repeat(at, count))
        # Rounded as amounts and counts are, so that files are as large as those of a shop.
        values = {name: np.round(rng.normal(size=count), 3) for name in NAMES}
        day = pa.repeat(pa.scalar(parse(NIGHT), pa.date32()), count)
        yield pa.table({KEY: keys, **times, **values, "dt": day})


def _write_version(root: Path) -> None:
    import xgboost

    from include.scoring.model import ScoringModel
    from include.steps.choose_engine import choose_engine
    from include.training.conversion import to_onnx
    from include.training.fitting import to_bytes

    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(50_000, FEATURES)).astype(np.float32)
    labels = (np.sin(matrix[:, :10]).sum(axis=1) + rng.normal(size=len(matrix)) > 0).astype(int)
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "learning_rate": 0.1, "nthread": os.cpu_count()}
    booster = xgboost.train(params, xgboost.DMatrix(matrix, labels, feature_names=NAMES), TREES)
    native, onnx = to_bytes(booster), to_onnx(booster)
    (root / "model.ubj").write_bytes(native)
    (root / "model.onnx").write_bytes(onnx)
    # As its registration leaves it: the trees as oneDAL has them, where they are what scores its nights.
    model = ScoringModel(NAMES, native=native, onnx=onnx)
    if choose_engine(model, matrix[:1000]).usable == "onedal":
        (root / "model.onedal").write_bytes(model.onedal_trees.to_bytes())


def _write_specs(folder: Path, compute: str) -> None:
    from include.specs.models import load_model

    for name in ("features", "services"):
        (folder / name).mkdir(parents=True)
    owner = {"description": "made up", "owner": "benchmarks"}
    column = {"dtype": "float64", "unit": "none", "meaning": "made up"}
    group = {
        "group": GROUP, **owner, "entity": {"name": "customer", "keys": [KEY]}, "sources": ["orders"], "ttl_days": 1,
        "freshness_days": 1, "volume": {"rows_min": 1, "ratio_min": None, "ratio_max": None},
        "columns": [{"name": name, **column} for name in NAMES],
    }  # fmt: skip
    service = {"service": f"{GROUP}_v1", **owner, "features": {GROUP: NAMES}}
    model = load_model("churn").model_dump(mode="json") | {
        "model_id": MODEL, "registered_name": MODEL, "features": {"service": f"{GROUP}_v1", "group": GROUP},
        "population": "f00 IS NOT NULL",
    }  # fmt: skip
    model["scoring"]["compute"] = compute
    model["monitoring"]["slices"] = []
    (folder / "features" / f"{GROUP}.yaml").write_text(yaml.safe_dump(group))
    # Nothing is built: the night is written as it is.
    (folder / "features" / f"{GROUP}.sql").write_text("SELECT * FROM orders WHERE dt BETWEEN $start_day AND $end_day")
    (folder / "services" / f"{GROUP}_v1.yaml").write_text(yaml.safe_dump(service))
    (folder / f"{MODEL}.yaml").write_text(yaml.safe_dump(model))


def _require_equal(root: Path) -> None:
    """Compare the scores that every contender has left."""
    ours = _scores(root / "lake" / "predictions" / MODEL)
    others = {name: root / f"{name}.parquet" for name in ("xgboost", "onnx")}
    others |= {"spark_udf": root / "spark_udf", _OURS_ON_SPARK: _on_spark(root) / "lake" / "predictions" / MODEL}
    for name, path in others.items():
        theirs = _scores(path)
        if not ours[KEY].combine_chunks().equals(theirs[KEY].combine_chunks()):
            raise RuntimeError(f"{name}: not the rows of this project")
        np.testing.assert_allclose(theirs["score"].to_numpy(), ours["score"].to_numpy(), atol=1e-6, err_msg=name)
    print(f"{ours.num_rows:,} scores equal to those of all others", flush=True)


def _scores(path: Path) -> pa.Table:
    return pads.dataset(path).to_table(columns=[KEY, "score"]).sort_by(KEY)


def _on_spark(root: Path) -> Path:
    """Return the folder of the same night, of a model whose spec has Spark score it."""
    return root / "on_spark"


def _forget_scores(root: Path) -> None:
    for folder in (root, _on_spark(root)):
        shutil.rmtree(folder / "lake" / "predictions", ignore_errors=True)


def _contenders(root: Path) -> list[Contender]:
    here = {"root": str(root)}
    return [
        Contender(_OURS, f"{_HERE}:this_project", here),
        Contender("XGBoost by hand: streamed inplace_predict", f"{_HERE}:xgboost_by_hand", here),
        Contender("ONNX Runtime by hand, streamed", f"{_HERE}:onnx_by_hand", here),
        Contender(_OURS_ON_SPARK, f"{_HERE}:this_project", {"root": str(_on_spark(root))}),
        Contender("MLflow's spark_udf", f"{_HERE}:spark_udf", here),
    ]


def _title(rows: int) -> str:
    return f"batch scoring, {rows:,} rows × {FEATURES} features, {TREES} trees"


def main(scale: float = 1.0, rounds: int = 3) -> list[Race]:
    """Run the races: all contenders on a night, and this project on one of ten times its rows, once."""
    races = []
    for rows, most in ((int(ROWS * scale), False), (int(MOST_ROWS * scale), True)):
        with tempfile.TemporaryDirectory(prefix="mlops-bench-") as scratch:
            root = Path(scratch)
            write_night(root, rows)
            contenders = _contenders(root)[: 2 if most else None]
            if not most:
                write_night(_on_spark(root), rows, compute="spark")
            forget = partial(_forget_scores, root)
            races.append(
                race(_title(rows), contenders, rounds=1 if most else rounds, baseline=_OURS, before_round=forget)
            )
            if not most:
                _require_equal(root)
    return races


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 1M and 10M rows")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.scale, arguments.rounds)
