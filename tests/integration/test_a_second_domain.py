"""Electricity beside orders, by YAML and SQL alone: from a file to a version in Staging, an answer online, and DAGs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.cli.main import cli
from include.refs import CandidateRef
from include.settings import PROJECT_ROOT
from include.specs.deployed import load_specs
from include.specs.lake_tables import list_tables
from include.specs.models import load_model
from include.steps.check_model import check_model
from include.steps.import_source import import_delivery
from include.steps.materialize_features import materialize_features
from include.steps.monitor_model import measure_night
from include.steps.move_model import promote_version
from include.steps.verify_online import verify_online
from include.views.versions import read_standing
from tests.deployments import deployed_beside
from tests.real_data import real_data

pytestmark = pytest.mark.timeout(300)

OVERLAY = Path(__file__).parents[1] / "overlays" / "elec2"
BEGIN, A_DAY = datetime(1996, 5, 7, tzinfo=UTC), 48
FIRST, LAST, NIGHT = "1997-05-01", "1997-05-14", "1998-12-07"
MODEL, WINDOW_BEGINS, TRAINED = "dearer", "1998-07-19", "1998-12-06"


@pytest.fixture(scope="module")
def readings() -> pa.Table:
    """The readings, with the times that their order gives them."""
    rows = pq.read_table(real_data("elec2/elec2.parquet"))
    times = [BEGIN + timedelta(minutes=30 * place) for place in range(rows.num_rows)]
    return rows.append_column("read_at", pa.array(times, pa.timestamp("us", tz="UTC")))


@pytest.fixture(scope="module")
def deployment(home: Path, readings: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("elec2")
    with deployed_beside(home, folder, "elec2", specs=OVERLAY) as made:
        pq.write_table(readings, folder / "elec2.parquet")
        account = mlops("sources", "import", "elec2", str(folder / "elec2.parquet"), "--format", "market", "--json")
        assert json.loads(account)["rows_in_table"] == readings.num_rows == 45_312
        mlops("features", "build", "--group", "half_hour_daily", "--date", FIRST, "--end", LAST)
        yield made


def mlops(*arguments: str) -> str:
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_spec_stands_beside_those_that_ship(monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", str(OVERLAY))
    specs = load_specs()
    assert specs.violations == ()
    assert {"elec2", "orders"} <= set(specs.sources)
    assert {"half_hour_daily", "customer_daily"} <= set(specs.groups)
    assert {"demand_v1", "churn_v1"} <= set(specs.services)
    assert {MODEL, "churn"} <= set(specs.models)
    assert {"raw/elec2", "quarantine/elec2", "deliveries/elec2", "features/half_hour_daily"} <= {
        table.name for table in list_tables()
    }


def test_the_partitions_are_what_pandas_computes(deployment, readings):
    frame = readings.to_pandas().set_index("read_at").sort_index()
    demand = frame.nswdemand.groupby(frame.index.strftime("%H:%M"))
    price = frame.nswprice.groupby(frame.index.strftime("%H:%M"))
    expected = pd.DataFrame(
        {
            "demand_to_mean_7d": frame.nswdemand / demand.transform(lambda of: of.rolling(7).mean()),
            "price_mean_7d": price.transform(lambda of: of.rolling(7).mean()),
            "half_hour": frame.index.strftime("%H:%M"),
        }
    )
    days = [str(day.date()) for day in pd.date_range(FIRST, LAST)]
    found = deployment.lake.read("features/half_hour_daily", keys=days).to_pandas().sort_values(["dt", "half_hour"])
    expected = expected[FIRST:LAST]
    assert len(found) == len(expected) == 14 * A_DAY
    for name in ("demand_to_mean_7d", "price_mean_7d"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9)
    assert list(found.half_hour) == list(expected.half_hour)


def test_a_partition_is_checked_and_answers_online(deployment):
    assert "half_hour_daily" in mlops("features", "check", "--group", "half_hour_daily", "--date", LAST)
    materialize_features(deployment, "half_hour_daily", start=LAST, end=LAST)
    verify_online(deployment, "half_hour_daily", partition=LAST)


@pytest.fixture(scope="module")
def version(deployment: Deployment) -> CandidateRef:
    """A version of the history, trained by the commands that the pages name."""
    mlops("features", "build", "--group", "half_hour_daily", "--date", WINDOW_BEGINS, "--end", TRAINED)
    return CandidateRef(**json.loads(mlops("train", "--model", MODEL, "--as-of", TRAINED)))


def test_its_examples_are_the_half_hours_of_the_window_and_their_labels_what_pandas_says(deployment, readings, version):
    (path,) = (deployment.settings.home / "lake" / "training_sets" / MODEL).iterdir()
    _, examples = read_training_set(deployment.lake, MODEL, path.name)
    price = readings.to_pandas().set_index("read_at").nswprice.sort_index()
    days = price.to_numpy().reshape(-1, A_DAY)
    coming = pd.Timestamp(WINDOW_BEGINS, tz="UTC") + timedelta(days=1)
    asked = range((coming - BEGIN).days, len(days))
    expected = [days[day] > days[day - 7 : day].mean(axis=0) for day in asked]
    found = examples.to_pandas().sort_values(["event_timestamp", "half_hour"])
    assert found.event_timestamp.min() == coming
    assert len(found) == 140 * A_DAY
    assert (found.label.to_numpy() == np.concatenate(expected)).all()


def test_its_version_passed_its_gates_and_says_more_than_a_mean(deployment, version):
    ledger = mlops("registry", "ledger", "--model", MODEL)
    assert "None → Staging  by train_model at " in ledger
    assert ": gates passed: auc pass (AUC 0." in ledger
    (standing,) = read_standing(deployment, MODEL).versions
    auc = {gate.gate: gate for gate in standing.gates}["auc"]
    assert auc.value > auc.threshold == load_model(MODEL).gates.auc_min


def test_a_night_of_it_is_taken_built_scored_and_measured(deployment, readings, version):
    """The night after a history ends: of the delivery's own format, and of the same rows as a range."""
    promote_version(deployment, MODEL, version=version.version, actor="ada", reason="gates passed")
    night = deployment.settings.home / "landing" / "elec2" / f"dt={NIGHT}"
    night.mkdir(parents=True)
    moved = readings.slice(readings.num_rows - A_DAY)
    times = pc.add(moved["read_at"], pa.scalar(timedelta(days=1)))
    pq.write_table(moved.drop_columns(["read_at"]).append_column("read_at", times), night / "rows.parquet")
    (night / "_FORMAT").write_text("market")
    (night / "_SUCCESS").touch()
    assert import_delivery(deployment, NIGHT, source="elec2").added == A_DAY
    mlops("features", "build", "--group", "half_hour_daily", "--date", NIGHT)
    mlops("score", "--model", MODEL, "--date", NIGHT)
    measured = measure_night(deployment, MODEL, partition=NIGHT)
    assert measured.pop("data_quality") == "ok"
    assert set(measured) == {"price", "price_mean_7d", "demand", "demand_to_mean_7d", "score"}
    assert set(measured.values()) == {"insufficient"}


@pytest.mark.parametrize("least", [A_DAY, A_DAY + 1])
def test_a_night_of_too_few_rows_for_a_verdict_on_drift_is_told_before(deployment, version, least):
    spec = load_model(MODEL)
    spec = spec.model_copy(update={"monitoring": spec.monitoring.model_copy(update={"min_rows": least})})
    found = check_model(deployment, spec, as_of=datetime(1998, 12, 8, tzinfo=UTC))
    assert found.wrong == ()
    told = [said for said in found.told if said.startswith("monitoring.min_rows=49 is above the 48 of that night")]
    assert len(told) == (least > A_DAY)


def test_its_dags_are_in_the_bag(deployment):
    from airflow.dag_processing.dagbag import DagBag

    found = {}
    for name in ("ingest_source", "materialize_features", "backfill_features", "train_model", "score_batch"):
        bag = DagBag(dag_folder=str(PROJECT_ROOT / "dags" / f"{name}.py"))
        assert bag.import_errors == {}
        found |= bag.dags
    of_a_group = [f"{does}__half_hour_daily" for does in ("materialize_features", "backfill_features")]
    of_the_model = [f"{does}__{MODEL}" for does in ("train_model", "score_batch", "rescore_range")]
    assert {"ingest__elec2", "ingest_orders", *of_a_group, *of_the_model} <= set(found)
