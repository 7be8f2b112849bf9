"""Versions that are made again from what is on record of them: to the bit, whatever has come since, or with the cause.

With MLflow and the lake; only the ledger is a stand-in. Of each model that ships two versions are trained a week apart,
by other numbers of threads; ten nights, a correction, a snapshot that is published late, an erasure and a changed
feature come after.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import product
from math import isqrt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.history import remove_old_files
from include.adapters.lake.row_digest import digest
from include.adapters.lake.training_sets import write_training_set
from include.adapters.provenance import read_provenance
from include.cli.main import cli
from include.errors import MlopsError, RefusedError, UsageError
from include.settings import Settings
from include.specs.labels import LABELS_ROOT
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.find_tables import find_tables
from include.steps.reproduce_version import reproduce_version, require_reproduced
from include.steps.train_model import train_model
from include.training.artifacts import SPEC, checksums, with_checksums
from include.training.fitting import fit_classifier, fit_ranker
from include.training.manifest import TrainingSetManifest
from tests.everyday import members
from tests.integration.test_train_and_score import make_deployment
from tests.raw_orders import as_raw, publish_source
from tests.shop import FIRST_DAY, OVERLAY, make_orders

MODELS = ("churn", "fraud", "recommendation")
DAYS = 112
LAST = partitions.shift(FIRST_DAY, DAYS - 1)
# As of which day, and by how many threads.
TRAINED = {1: (partitions.shift(LAST, -17), 1), 2: (partitions.shift(LAST, -10), 2)}
# The first snapshot of version 1 stands later.
BUILT = partitions.shift(TRAINED[1][0], -72)
# Snapshots of version 2: one that was not published when it was trained, and one whose feature is another one since.
UNPUBLISHED, REVISED = (partitions.shift(TRAINED[2][0], -14 - days) for days in (21, 7))
ERASED = "c0002"
FEATURES = "features/customer_daily"


def under(folder: Path, **training: Any) -> str:
    """Write an overlay in which the training differs, and return its folder."""
    folder.mkdir()
    (folder / "churn.yaml").write_text(yaml.safe_dump({**OVERLAY, "training": {**OVERLAY["training"], **training}}))
    for model, every in (("fraud", 1), ("recommendation", 7)):
        values = {**OVERLAY["training"], "snapshot_every_days": every, **training}
        (folder / f"{model}.yaml").write_text(yaml.safe_dump({"label": OVERLAY["label"], "training": values}))
    return str(folder)


def make_log() -> pa.Table:
    """Return orders whose products are in seven categories, some of them bought more; the costly ones are disputed."""
    orders = make_orders(days=DAYS)
    categories = [f"k{isqrt(int(product[1:]))}" for product in orders["product_id"].to_pylist()]
    sales = as_raw(orders.set_column(orders.column_names.index("category"), "category", pa.array(categories)))
    disputes = [
        {**row, "order_id": f"d{row['order_id']}", "kind": "dispute", "ref_order_id": row["order_id"], **moved}
        for number, row in enumerate(sales.to_pylist())
        if row["quantity"] * row["unit_price"] > 40 and number % 3
        for days in [timedelta(days=1 + number % 12)]
        for moved in [{name: row[name] + days for name in ("ordered_at", "received_at", "dt")}]
    ]
    return until(pa.concat_tables([sales, pa.Table.from_pylist(disputes, schema=sales.schema)]), LAST)


def until(rows: pa.Table, day: str) -> pa.Table:
    return rows.filter(pc.less_equal(rows["dt"], pa.scalar(partitions.parse(day))))


def put(rows: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    field = rows.schema.field(name)
    return rows.set_column(rows.column_names.index(name), field, values.cast(field.type))


def corrected(rows: pa.Table) -> pa.Table:
    """Return the orders with a correction of many old ones, that became known on the last day."""
    old = pc.less(rows["dt"], pa.scalar(partitions.parse(partitions.shift(LAST, -30))))
    known = pa.scalar(partitions.end_of(LAST), pa.timestamp("us", tz="UTC"))
    rows = put(rows, "quantity", pc.if_else(old, pc.add(rows["quantity"], 1), rows["quantity"]))
    return put(rows, "received_at", pc.if_else(old, known, rows["received_at"]))


def revise(lake: LakeAdapter) -> None:
    """Erase a customer, and change a feature of one day as another statement would."""
    rows = lake.read(FEATURES)
    lake.replace(FEATURES, rows.filter(pc.not_equal(rows["customer_id"], ERASED)), keys=lake.partitions(FEATURES))
    rows = lake.read(FEATURES, keys=[REVISED])
    lake.replace(
        FEATURES, put(rows, "avg_order_value", pc.add(rows["avg_order_value"], pa.scalar(1.0))), keys=[REVISED]
    )


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    folder = tmp_path_factory.mktemp("reproduce")
    made, rows = make_deployment(folder / "home"), make_log()
    start = BUILT
    with pytest.MonkeyPatch.context() as patch:
        for version, (as_of, threads) in TRAINED.items():
            patch.setenv("MLOPS_SPECS", under(folder / f"specs{version}", threads=threads))
            publish_source(made.lake, until(rows, as_of))
            build_all(made, start=start, end=as_of)
            start = partitions.shift(as_of, 1)
            if version == 2:
                made.state.forget(FEATURES, UNPUBLISHED)
            for model in MODELS:
                assert train_model(made, build_training_set(made, model, as_of=as_of)).version == version
    publish_source(made.lake, rows)
    build_all(made, start=start, end=LAST)
    publish_source(made.lake, corrected(rows))
    build_all(made, start=BUILT, end=LAST)
    revise(made.lake)
    return made


def build_all(deployment: Deployment, *, start: str, end: str) -> None:
    for model in MODELS:
        build_features(deployment, load_model(model).features.group, start=start, end=end)


def elsewhere(deployment: Deployment, folder: Path, **env: str) -> Deployment:
    """Return a deployment in another home, with a copy of the lake and of the artifacts, and the same ledger."""
    home = deployment.settings.home
    shutil.copytree(home, folder, ignore=shutil.ignore_patterns("cache"))
    database = folder / "mlflow.db"
    env = {"MLOPS_CODE_COMMIT": "c0ffee", "MLFLOW_TRACKING_URI": f"sqlite:///{database}", **env}
    made = Deployment(Settings.from_env({"MLOPS_HOME": str(folder), **env}))
    # MLflow keeps the addresses of artifacts whole.
    with sqlite3.connect(database) as connection:
        for table, column in (("runs", "artifact_uri"), ("model_versions", "source")):
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(home), str(folder)))
    vars(made)["state"] = deployment.state
    return made


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_whole(found: Any) -> bool:
    return all(each.recorded == each.kept == each.rebuilt for each in (found.training_set, found.native, found.onnx))


@pytest.mark.parametrize(
    ("model", "version"),
    [
        pytest.param(*each, marks=[pytest.mark.thorough] * (each not in (("churn", 1), ("recommendation", 2))))
        for each in product(MODELS, TRAINED)
    ],
)
def test_a_version_is_equal_twice_whatever_came_since_and_nothing_is_written(deployment, model, version):
    before = files_of(deployment.settings.home)
    found = reproduce_version(deployment, model, version=version)
    assert (found.differences, found.notes, found.environment) == ((), (), ())
    assert found.equal
    assert is_whole(found)
    assert reproduce_version(deployment, model, version=version) == found
    assert files_of(deployment.settings.home) == before
    assert f"{model} version {version}, trained on {TRAINED[version][0]}-" in str(found)


@pytest.mark.parametrize("version", members(TRAINED, daily=[2]))
def test_the_tables_of_today_would_give_other_sets(deployment, version, tmp_path, monkeypatch):
    """What the test above claims is that this does not matter."""
    as_of, threads = TRAINED[version]
    monkeypatch.setenv("MLOPS_SPECS", under(tmp_path / "now", threads=threads))
    for model in MODELS:
        recorded = manifest_of(deployment, version, model)["rows_sha256"]
        assert build_training_set(deployment, model, as_of=as_of).sha256 != recorded


@pytest.mark.parametrize("threads", members([1, 2], daily=[1]))
def test_a_version_is_equal_in_another_home_whatever_the_machine_gives(deployment, tmp_path, threads, monkeypatch):
    other = elsewhere(deployment, tmp_path / "home")
    before = pa.cpu_count(), pa.io_thread_count()
    try:
        pa.set_cpu_count(threads)
        pa.set_io_thread_count(threads)
        for model, version in product(MODELS, TRAINED):
            assert reproduce_version(other, model, version=version).equal
    finally:
        pa.set_cpu_count(before[0])
        pa.set_io_thread_count(before[1])


@contextmanager
def instead(path: Path, change: Callable[[bytes], bytes | None]) -> Iterator[None]:
    """Put something else in a file's place, or nothing, for a while."""
    content = path.read_bytes()
    changed = change(content)
    path.unlink() if changed is None else path.write_bytes(changed)
    try:
        yield
    finally:
        path.write_bytes(content)


def artifacts_of(deployment: Deployment, version: int, model: str = "churn") -> Path:
    name = load_model(model).registered_name
    run_id = deployment.model_registry.get(name, version).run_id
    return deployment.settings.home / "mlflow" / name / run_id / "artifacts" / "model"


@pytest.fixture(scope="module")
def set_ids(deployment: Deployment) -> dict[int, str]:
    return {version: manifest_of(deployment, version)["set_id"] for version in TRAINED}


def flipped(content: bytes) -> bytes:
    return content[:50] + bytes([content[50] ^ 1]) + content[51:]


@pytest.mark.parametrize(
    ("model", "version", "name"),
    [
        ("churn", 1, "model.ubj"),
        ("fraud", 2, "model.onnx"),
        pytest.param("recommendation", 1, "model.onnx", marks=pytest.mark.thorough),
        pytest.param("churn", 2, "spec.json", marks=pytest.mark.thorough),
        ("recommendation", 2, "plots/ndcg.png"),
    ],
)
@pytest.mark.parametrize("change", [flipped, lambda _: None], ids=["flipped", "gone"])
def test_a_registered_file_that_was_altered_is_named_and_what_was_registered_is_made(
    deployment, model, version, name, change
):
    with instead(artifacts_of(deployment, version, model) / name, change):
        found = reproduce_version(deployment, model, version=version)
    assert not found.equal
    (told,) = found.differences
    assert told.startswith(f"{name} ")
    assert told.endswith("it was altered since")
    assert all(each.is_reproduced for each in (found.training_set, found.native, found.onnx))
    altered = {"model.ubj": found.native, "model.onnx": found.onnx}.get(name)
    if altered is not None:
        assert altered.kept != altered.recorded == altered.rebuilt


def test_a_file_that_was_not_registered_is_named(deployment):
    stray = artifacts_of(deployment, 1) / "model.pkl"
    stray.write_bytes(b"")
    try:
        (told,) = reproduce_version(deployment, "churn", version=1).differences
    finally:
        stray.unlink()
    assert told == "model.pkl is among the files of the version, and was not registered with it"


def test_nothing_is_made_by_a_manifest_that_was_altered(deployment):
    with instead(artifacts_of(deployment, 1) / "manifest.json", lambda text: text.replace(b'"rows"', b'"row"')):
        found = reproduce_version(deployment, "churn", version=1)
    assert found.differences[0].startswith("manifest.json has sha256")
    assert (found.training_set.rebuilt, found.native.rebuilt, found.onnx.rebuilt) == (None, None, None)
    assert found.environment == ()


def register_anew(deployment: Deployment, manifest: Mapping[str, Any]) -> int:
    """Register the files of version 2 without its spec, and with another manifest, as something from before."""
    files = deployment.model_registry.stored("churn-predictor", 2)
    kept = {name: content for name, content in files.items() if name != SPEC}
    sealed = with_checksums({**kept, "manifest.json": json.dumps(manifest).encode()})
    made = deployment.model_registry.register(
        "churn-predictor", run_name="older", files=sealed, params={}, metrics={}, tags={"model_id": "churn"}
    )
    deployment.state.record_registration("churn", made.version, run_id=made.run_id, files=checksums(sealed))
    return made.version


def manifest_of(deployment: Deployment, version: int, model: str = "churn") -> dict[str, Any]:
    files = deployment.model_registry.stored(load_model(model).registered_name, version)
    stated: dict[str, Any] = json.loads(files["manifest.json"])
    return stated


@pytest.mark.parametrize(
    "name", members(["as_of", "entity_keys", "rows_sha256", "sources", "spec_sha256"], daily=["as_of", "rows_sha256"])
)
def test_what_a_manifest_lacks_is_named(older, name):
    stated = manifest_of(older, 2)
    del stated[name]
    found = reproduce_version(older, "churn", version=register_anew(older, stated), against_latest=True)
    assert f"nothing can be built again: manifest.json lacks {name}" in found.differences
    assert (found.training_set.rebuilt, found.native.rebuilt, found.latest) == (None, None, None)


def without_first_row(content: bytes) -> bytes:
    rows, sink = pq.read_table(pa.BufferReader(content)), pa.BufferOutputStream()
    pq.write_table(rows.slice(1), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_first_row, "somebody changed it"),
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda _: None, "has no examples.parquet any more"),
    ],
    ids=["a row less", "cut off", "gone"],
)
def test_a_training_set_that_was_altered_where_the_lake_keeps_it_is_named(deployment, set_ids, change, told):
    path = deployment.settings.home / "lake" / "training_sets" / "churn" / set_ids[1] / "examples.parquet"
    with instead(path, change):
        found = reproduce_version(deployment, "churn", version=1)
    (difference,) = found.differences
    assert difference.startswith("the training set that the lake keeps is not what it was")
    assert told in difference
    assert found.training_set.is_reproduced
    assert found.training_set.kept is None


def test_a_training_set_that_was_altered_together_with_its_manifest_is_named(deployment, set_ids, tmp_path):
    other = elsewhere(deployment, tmp_path / "home")
    folder = tmp_path / "home" / "lake" / "training_sets" / "churn"
    set_id = set_ids[1]
    manifest = TrainingSetManifest.from_json((folder / set_id / "manifest.json").read_text())
    rows = pq.read_table(folder / set_id / "examples.parquet").slice(1)
    shutil.rmtree(folder / set_id)
    write_training_set(other.lake, replace(manifest, rows_sha256=digest(rows)), rows)
    (told,) = reproduce_version(other, "churn", version=1).differences
    assert told.endswith("set and manifest were altered together")


READ = [
    ("churn", "raw/orders"),
    pytest.param("churn", FEATURES, marks=pytest.mark.thorough),
    pytest.param("fraud", "features/order_risk", marks=pytest.mark.thorough),
    ("recommendation", "features/customer_category_daily"),
]


@pytest.mark.parametrize(("model", "table"), READ)
def test_a_tables_file_that_was_altered_is_named_and_the_model_is_made_from_the_set_that_is_kept(
    deployment, tmp_path, model, table
):
    other = elsewhere(deployment, tmp_path / "home")
    for path in (tmp_path / "home" / "lake" / table).rglob("*.parquet"):
        path.write_bytes(flipped(path.read_bytes()))
    found = reproduce_version(other, model, version=2)
    (told,) = found.differences
    assert told.startswith(f"the training set can't be built again: lake table {table}: data file")
    assert found.training_set.rebuilt is None
    assert found.native.is_reproduced
    assert found.onnx.is_reproduced


@pytest.mark.parametrize(("model", "table"), READ)
@pytest.mark.parametrize("keeps_set", [True, False], ids=["set kept", "set expired"])
def test_a_tables_version_that_has_expired_is_named(deployment, tmp_path, model, table, keeps_set):
    other = elsewhere(deployment, tmp_path / "home")
    assert table in {found.name for found in find_tables(other.lake)}
    assert remove_old_files(other.lake, table, retention_days=0, keep_versions=[]) > 0
    if not keeps_set:
        shutil.rmtree(tmp_path / "home" / "lake" / "training_sets")
    found = reproduce_version(other, model, version=1, against_latest=True)
    (told,) = found.differences
    assert told.startswith(f"the training set can't be built again: lake table {table} has no version ")
    assert "mlops lake pins" in told
    assert found.native.is_reproduced is found.onnx.is_reproduced is keeps_set
    assert (found.latest is not None) is keeps_set
    assert any("does not keep training set" in note for note in found.notes) is not keeps_set


def with_lock(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Go on in a project whose lock is another one."""
    folder.mkdir()
    (folder / "uv.lock").write_text("another")
    monkeypatch.setattr("include.steps.reproduce_version.read_provenance", partial(read_provenance, root=folder))


def test_a_lock_and_a_commit_that_changed_are_named_where_they_make_no_difference(deployment, tmp_path, monkeypatch):
    with_lock(monkeypatch, tmp_path / "project")
    other = elsewhere(deployment, tmp_path / "home", MLOPS_CODE_COMMIT="deadbeef")
    now = hashlib.sha256(b"another").hexdigest()
    for model in MODELS:
        found = reproduce_version(other, model, version=1)
        assert found.equal
        assert found.notes[0] == "the code was c0ffee, is deadbeef, which made no difference"
        assert found.notes[1].startswith("the lock of the libraries was ")
        assert found.notes[1].endswith(f"is {now}, which made no difference")


@pytest.mark.parametrize(
    ("model", "where", "real"),
    [
        ("churn", "task_binary.fit_classifier", fit_classifier),
        pytest.param("fraud", "task_binary.fit_classifier", fit_classifier, marks=pytest.mark.thorough),
        pytest.param("recommendation", "task_ranking.fit_ranker", fit_ranker, marks=pytest.mark.thorough),
    ],
)
def test_a_lock_that_changed_is_the_cause_where_the_bytes_are_others(
    deployment, tmp_path, monkeypatch, model, where, real
):
    """Another version of a library is stood in for by another parameter."""
    with_lock(monkeypatch, tmp_path / "project")

    def fit(*args: Any, training: Any, **named: Any) -> Any:
        values = training.hyperparameters.model_copy(update={"reg_lambda": 1.5})
        return real(*args, training=training.model_copy(update={"hyperparameters": values}), **named)

    monkeypatch.setattr(f"include.training.{where}", fit)
    found = reproduce_version(deployment, model, version=1)
    assert found.training_set.is_reproduced
    native, onnx = found.differences
    assert native.startswith("model.ubj has sha256")
    assert onnx.startswith("model.onnx has sha256")
    assert "not as it was: the lock of the libraries was" in native
    assert found.notes == ()


def test_a_difference_without_a_cause_on_record_says_so(deployment, monkeypatch):
    real = fit_classifier
    monkeypatch.setattr(
        "include.training.task_binary.fit_classifier",
        lambda matrix, labels, **named: real(matrix, 1 - labels, **named),
    )
    told = reproduce_version(deployment, "churn", version=1).differences[0]
    assert "nothing that is on record explains it" in told


def test_a_version_is_made_by_the_spec_that_it_keeps_whatever_the_spec_is_today(deployment, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", under(tmp_path / "specs", seed=99, window_days=28, threads=5))
    for version in TRAINED:
        assert reproduce_version(deployment, "churn", version=version).equal


@pytest.fixture(scope="module")
def older(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A home whose version 3 is version 2 as it would have been registered before versions kept their spec."""
    other = elsewhere(deployment, tmp_path_factory.mktemp("older") / "home")
    stated = manifest_of(other, 2)
    del stated["definitions"], stated["libraries"]
    assert register_anew(other, stated) == 3
    return other


def test_a_version_that_keeps_no_spec_is_made_by_the_present_one_where_that_is_the_same(older, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", under(tmp_path / "specs", threads=TRAINED[2][1]))
    assert reproduce_version(older, "churn", version=3).equal


def test_a_version_that_keeps_no_spec_is_not_made_by_another_one(older, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", under(tmp_path / "specs", seed=99))
    found = reproduce_version(older, "churn", version=3)
    (told,) = found.differences
    assert told.startswith("nothing can be built again: the version has no spec.json to go by, and its manifest")
    assert (found.training_set.rebuilt, found.native.rebuilt) == (None, None)


def test_a_definition_of_an_overlay_that_changed_is_named(deployment, tmp_path, monkeypatch):
    specs = tmp_path / "specs"
    (specs / "features").mkdir(parents=True)
    (specs / "features" / "customer_daily.yaml").write_text("ttl_days: 5\n")
    (specs / "churn.yaml").write_text(yaml.safe_dump(OVERLAY))
    other = elsewhere(deployment, tmp_path / "home", MLOPS_SPECS=str(specs))
    monkeypatch.setenv("MLOPS_SPECS", str(specs))
    found = reproduce_version(other, "churn", version=1)
    assert found.equal
    (note,) = found.notes
    assert note.startswith("feature group customer_daily was sha256")


def test_a_labels_statement_that_changed_is_the_cause_of_the_rows_that_are_others(deployment, tmp_path, monkeypatch):
    statement = (LABELS_ROOT / "no_order.sql").read_text()
    changed = statement.replace("kind = 'sale' AND", "kind = 'sale' AND quantity > 1 AND")
    assert changed != statement
    (tmp_path / "no_order.sql").write_text(changed)
    monkeypatch.setattr("include.specs.labels.LABELS_ROOT", tmp_path)
    found = reproduce_version(deployment, "churn", version=1)
    (told,) = found.differences
    assert told.startswith("the training set has sha256")
    assert "(0 rows added, 0 gone, " in told
    assert "the first: changed event_timestamp 20" in told
    assert "; not as it was: label no_order was sha256 " in told
    assert found.training_set.recorded == found.training_set.kept != found.training_set.rebuilt
    # The model is made from the set that is kept: it is not what differs.
    assert found.native.is_reproduced
    assert found.onnx.is_reproduced


def test_the_rows_that_are_others_today_are_named(deployment):
    found = reproduce_version(deployment, "churn", version=2, against_latest=True)
    assert found.equal
    changes = found.latest
    assert changes is not None
    end = {day: str(partitions.end_of(day)) for day in (UNPUBLISHED, REVISED)}
    assert changes.added > 10
    assert {key["event_timestamp"] for key in changes.first_added} == {end[UNPUBLISHED]}
    assert 1 <= changes.gone <= 8
    assert {key["customer_id"] for key in changes.first_gone} == {ERASED}
    # Of an order that was corrected since nothing was known in time, so that labels that it gave are others too.
    assert changes.columns.keys() == {"avg_order_value", "label"}
    assert 10 < changes.columns["avg_order_value"] <= changes.changed
    assert len(changes.first_changed) == len(changes.first_added) == 10


def test_a_version_that_there_is_not_is_wrong_use(deployment):
    with pytest.raises(UsageError, match=r"churn has no version 99 in MLflow; it has 1, 2$"):
        reproduce_version(deployment, "churn", version=99)


def test_a_difference_is_a_no_and_an_equal_version_says_how_much_has_changed(deployment):
    told = require_reproduced(deployment, "churn", version=2, against_latest=True)
    assert told.keys() == {"version", "set_id", "added", "gone", "changed"}
    with (
        instead(artifacts_of(deployment, 2) / "model.onnx", flipped),
        pytest.raises(RefusedError, match=r"^model.onnx has sha256"),
    ):
        require_reproduced(deployment, "churn", version=2)


def test_a_version_that_no_history_knows_of_is_not_reproduced(older):
    files = older.model_registry.stored("churn-predictor", 1)
    stray = older.model_registry.register("churn-predictor", run_name="x", files=files, params={}, metrics={}, tags={})
    with pytest.raises(MlopsError, match="the ledger knows neither its registration nor a move of it"):
        reproduce_version(older, "churn", version=stray.version)


def test_the_command_prints_the_verdict_and_exits_by_it(deployment, monkeypatch):
    monkeypatch.setattr("include.cli.reproduce.open_deployment", lambda: deployment)

    def call(*arguments: str) -> Any:
        command = ["reproduce", "--model", "churn", "--version", "2", *arguments]
        return CliRunner().invoke(cli, command, standalone_mode=False, catch_exceptions=False)

    done = call("--against", "latest")
    assert done.return_value == 0
    lines = done.stdout.splitlines()
    assert lines[0].endswith("equal to the bit: the rows of the set, model.ubj and model.onnx")
    assert lines[1].startswith("as the tables are today: ")
    assert sum(line.startswith("  added ") for line in lines) == 10
    told = json.loads(call("--json").stdout)
    assert told["equal"] is True
    assert told["training_set"]["recorded"] == told["training_set"]["rebuilt"]
    assert told["latest"] is None
    with instead(artifacts_of(deployment, 2) / "model.ubj", flipped):
        assert json.loads(call("--json").stdout)["equal"] is False
        refused = call()
    assert refused.return_value == 1
    assert "not equal: model.ubj has sha256" in refused.stdout


def test_the_spec_that_a_version_keeps_is_what_its_manifest_has_the_hash_of(deployment):
    text = deployment.model_registry.stored("churn-predictor", 2)[SPEC]
    manifest = json.loads(deployment.model_registry.stored("churn-predictor", 2)["manifest.json"])
    assert hashlib.sha256(text).hexdigest() == manifest["spec_sha256"]
    assert json.loads(text)["training"]["threads"] == 2
    assert "gates" not in json.loads(text)
