"""MLflow's own clients on the files of a version: a frame, its scoring server, and Spark."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from include.adapters.registry.model_files import unpack, write_files
from include.errors import MlopsError, UsageError
from include.question.matrix import feature_matrix
from include.training.version import train_version
from tests.everyday import members
from tests.real_data import require
from tests.unit.training.examples_builder import (
    NAMES,
    make_examples,
    make_manifest,
    make_pairs,
    make_ranking_spec,
    make_spec,
)

ROWS = make_examples(seed=5)
FRAME = ROWS.select(NAMES).to_pandas()
TURNED = [*reversed(NAMES)]


TASKS = ("binary", "ranking")


@pytest.fixture(scope="module", params=TASKS)
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[Any]]:
    """Return the folder of a version, and what the nightly batch would give `FRAME`."""
    spec, examples = {
        "binary": lambda: (make_spec(), make_examples()),
        "ranking": lambda: (make_ranking_spec(), make_pairs()),
    }[request.param]()
    files = train_version(spec, make_manifest(spec, examples), examples).files
    folder = tmp_path_factory.mktemp(request.param)
    write_files(folder, files)
    return folder, unpack(files).model.predict(feature_matrix(ROWS, NAMES))


@pytest.fixture
def loaded(version: tuple[Path, NDArray[Any]]) -> mlflow.pyfunc.PyFuncModel:
    return mlflow.pyfunc.load_model(str(version[0]))


def test_columns_in_any_order_and_of_any_numeric_type_get_the_scores_of_the_batch(version: Any, loaded: Any) -> None:
    turned = FRAME[TURNED]
    others = {
        "as they are": FRAME,
        "turned round": turned,
        "another index": turned.set_axis(np.arange(len(turned))[::-1]),
        "whole numbers with holes": turned.astype({NAMES[0]: "Int64"}),
        "objects": turned.astype(object).where(turned.notna(), None),
        "doubles": turned.astype(np.float64),
        "a mapping": {name: turned[name].tolist() for name in TURNED},
    }
    assert {what: (loaded.predict(frame) == version[1]).all() for what, frame in others.items()} == dict.fromkeys(
        others, True
    )


def test_one_row_that_lacks_a_feature_is_scored_and_no_rows_give_no_scores(loaded: Any) -> None:
    row = FRAME.iloc[:1]
    missing = pd.DataFrame({name: [None] if name == NAMES[1] else row[name].tolist() for name in TURNED})
    assert loaded.predict(missing) == loaded.predict(row.assign(**{NAMES[1]: np.nan}))
    assert loaded.predict(row.iloc[:0]).shape == (0,)


EXPECTED = ", ".join(NAMES)


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (FRAME[[*NAMES[1:]]], f"missing: {NAMES[0]}"),
        (FRAME.assign(extra=1.0), "not the model's: extra"),
        (FRAME.rename(columns={NAMES[2]: "gap"}), f"missing: {NAMES[2]}; not the model's: gap"),
        (FRAME[[*NAMES, NAMES[1]]], f"there more than once: {NAMES[1]}"),
        (FRAME.set_axis(range(len(NAMES)), axis=1), "not the model's: 0, 1, 2"),
        (FRAME.to_numpy(), "columns of a ndarray have no names"),
    ],
    ids=["missing", "extra", "another", "twice", "by place", "array"],
)
def test_columns_that_are_not_the_models_are_refused_with_those_that_are(loaded: Any, frame: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        loaded.predict(frame)
    assert EXPECTED in str(caught.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [("many", f"feature {NAMES[1]} "), (np.inf, f"feature {NAMES[1]} is infinite"), (1e39, "infinite")],
    ids=["text", "infinite", "beyond float32"],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_value_that_a_model_can_not_read_is_refused(loaded: Any, value: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        loaded.predict(FRAME.assign(**{NAMES[1]: value}))


def test_the_signature_says_what_comes_out_and_the_metadata_what_goes_in(loaded: Any) -> None:
    assert loaded.metadata.get_output_schema().to_dict() == [{"type": "float", "required": True}]
    assert loaded.metadata.metadata["features"] == [*NAMES]


@pytest.mark.parametrize("name", ["model.ubj", "signature.json"])
def test_a_file_that_was_changed_is_not_loaded(version: Any, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(version[0], tmp_path / "copy")
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(MlopsError, match=f"{name} is not what checksums.json says"):
        mlflow.pyfunc.load_model(str(folder))


def test_mlflows_scoring_server_answers_by_names_and_refuses_others(version: Any, loaded: Any) -> None:
    from fastapi.testclient import TestClient
    from mlflow.pyfunc import scoring_server

    rows = FRAME[TURNED].iloc[:20].astype(object).where(FRAME[TURNED].iloc[:20].notna(), None)
    asked = {
        "dataframe_split": rows.to_dict(orient="split"),
        "dataframe_records": rows.to_dict(orient="records"),
    }
    with TestClient(scoring_server.init(loaded)) as client:
        for form, body in asked.items():
            answer = client.post("/invocations", json={form: body})
            np.testing.assert_array_equal(np.float32(answer.json()["predictions"]), version[1][:20])
        refused = client.post("/invocations", json={"dataframe_records": [{**asked["dataframe_records"][0], "x": 1}]})
    assert refused.status_code == 400
    assert EXPECTED in refused.text


@pytest.fixture(scope="module")
def spark() -> Any:
    if not shutil.which("java"):
        require("there is no Java on PATH (openjdk-17-jre-headless in packages.txt)")
    if find_spec("pyspark") is None:
        require("pyspark is not installed (uv sync --group spark)")
    from include.adapters.compute.spark_compute import SparkCompute

    return SparkCompute()._session


@pytest.mark.parametrize("version", members(TASKS, daily=["binary"]), indirect=True)
def test_spark_scores_a_struct_of_columns_in_any_order_as_the_batch_does(spark: Any, version: Any) -> None:
    from pyspark.sql import functions as sf

    udf = mlflow.pyfunc.spark_udf(spark, str(version[0]), env_manager="local")
    rows = spark.createDataFrame(ROWS.append_column("place", [np.arange(len(FRAME))])).coalesce(1)
    scored = rows.select("place", udf(sf.struct(*TURNED)).alias("score")).toArrow().sort_by("place")
    assert str(scored["score"].type) == "float"
    np.testing.assert_array_equal(scored["score"].to_numpy(), version[1])


@pytest.mark.parametrize("version", members(TASKS, daily=["binary"]), indirect=True)
def test_spark_is_refused_columns_that_it_hands_over_without_their_names(spark: Any, version: Any) -> None:
    from pyspark.errors import PySparkException

    udf = mlflow.pyfunc.spark_udf(spark, str(version[0]), env_manager="local")
    with pytest.raises(PySparkException, match=EXPECTED):
        spark.createDataFrame(ROWS.slice(0, 5)).coalesce(1).select(udf(*TURNED)).toArrow()
