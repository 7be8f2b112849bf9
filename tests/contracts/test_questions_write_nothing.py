"""Asking changes nothing: not a row or a table of the state, not a file or a folder of the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.history import changed_partitions
from include.adapters.lake.ledger_heads import list_anchored, read_heads
from include.adapters.lake.online_log import read_vectors
from include.adapters.lake.partition_reports import read_report
from include.adapters.lake.training_sets import list_training_sets, read_manifest
from include.adapters.sources.deliveries import days_of, delivered_days
from include.adapters.state.state_store import StateStoreAdapter
from include.errors import MlopsError
from include.governance.lifecycle import MoveRequest, stage_candidate
from include.monitoring.decision import Decision
from include.settings import Settings
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.steps.build_features import build_features
from include.steps.decide_retrain import judge_night, judge_request
from include.steps.find_day import find_day
from include.steps.find_missed import find_missed
from include.steps.find_stale import find_stale
from include.steps.find_stale_scores import find_stale_scores
from include.steps.find_waiting import find_waiting
from include.steps.judge_features import check_features
from include.steps.night_status import read_night_status
from include.steps.record_decision import record_decision
from include.views.deliveries import read_row_accounts
from include.views.lake_tables import read_lake_tables
from include.views.nights import read_nights
from include.views.partition_reports import read_group_report
from include.views.versions import read_ledger, read_standing
from tests.raw_orders import SOURCE, line, orders, publish_source

GROUP, TABLE = "customer_daily", "features/customer_daily"
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


@pytest.fixture
def empty(state_database, tmp_path) -> SimpleNamespace:
    """A deployment on which nothing has run yet but its migrations."""
    state = StateStoreAdapter(state_database)
    lake, settings = LakeAdapter((tmp_path / "lake").as_uri()), Settings.from_env({"MLOPS_HOME": str(tmp_path)})
    return SimpleNamespace(lake=lake, compute=DuckDbCompute(), state=state, settings=settings)


@pytest.fixture
def deployment(empty) -> SimpleNamespace:
    """One with history: three built days, of which a late row has reached the last two, a decision and a version."""
    publish_source(empty.lake, orders(*(line(day) for day in DAYS)))
    build_features(empty, GROUP, start=DAYS[0], end=DAYS[-1])
    publish_source(empty.lake, orders(line(DAYS[1]), line(f"{DAYS[1]} 12:00:00", customer="c2")))
    empty.state.append_moves(stage_candidate((), MoveRequest("churn", 1, DAYS[0], "ada", "first")))
    empty.state.put_night("churn", "2024-02-01", model_version=1, night={"rows": 1})
    hold = Decision("hold", "none", ("because",))
    record_decision(empty, load_model("churn"), hold, partition=DAYS[-1], run_id="run-0")
    return empty


def source_version(deployment: Any) -> int:
    return deployment.lake.version("raw/orders") or 0


def of_orders(version: int) -> dict[str, int]:
    return {"raw/orders": version}


QUESTIONS: dict[str, Callable[[Any], object]] = {
    "find_stale": lambda d: find_stale(d, load_feature_group(GROUP), source_versions=of_orders(source_version(d))),
    "find_day": lambda d: find_day("orders", DAYS[-1]),
    "check_features": lambda d: check_features(d, GROUP, start=DAYS[0], end=DAYS[-1]),
    "judge_night": lambda d: judge_night(d, "churn", DAYS[-1]),
    "judge_request": lambda d: judge_request(d, "churn", DAYS[-1], event="business event: price change"),
    "find_missed": lambda d: find_missed(d, load_model("churn"), DAYS[-1], run_id="run-1"),
    "find_waiting": lambda d: find_waiting(d, "churn"),
    "find_stale_scores": lambda d: find_stale_scores(d, load_model("churn"), until=DAYS[-1]),
    "watermark": lambda d: d.state.watermark("churn"),
    "days_of": lambda d: days_of(d.lake, SOURCE, DAYS[-1]),
    "ledger": lambda d: d.state.ledger("churn"),
    "registration": lambda d: d.state.registration("churn", 1),
    "histories": lambda d: d.state.histories("churn"),
    "recorded_models": lambda d: d.state.recorded_models(),
    "unguarded": lambda d: d.state.unguarded(),
    "disarmed": lambda d: d.state.disarmed(),
    "read_heads": lambda d: read_heads(d.lake, "promotion_ledger", "churn"),
    "list_anchored": lambda d: list_anchored(d.lake),
    "production_version_at": lambda d: d.state.production_version_at("churn", DAYS[-1]),
    "decisions": lambda d: d.state.decisions("churn"),
    "switch_moves": lambda d: d.state.switch_moves(),
    "night_incidents": lambda d: d.state.night_incidents(),
    "night_status": read_night_status,
    "nights": lambda d: d.state.nights("churn"),
    "publications": lambda d: d.state.publications(TABLE),
    "newest_publication": lambda d: d.state.newest_publication(TABLE),
    "source_versions": lambda d: d.state.source_versions(TABLE),
    "table_versions": lambda d: d.state.table_versions(TABLE),
    "exists": lambda d: d.lake.exists(TABLE),
    "version": lambda d: d.lake.version(TABLE),
    "partitions": lambda d: d.lake.partitions(TABLE),
    "read": lambda d: d.lake.read(TABLE),
    "dataset": lambda d: d.lake.dataset(TABLE).to_table(),
    "digest": lambda d: d.lake.digest(TABLE),
    "changed_partitions": lambda d: changed_partitions(d.lake, "raw/orders", since=0, until=source_version(d)),
    "delivered_days": lambda d: delivered_days(d.lake, SOURCE),
    "read_vectors": lambda d: read_vectors(d.lake, "online_vectors/churn", DAYS[0]),
    "read_report": lambda d: read_report(d.lake, GROUP, DAYS[-1]),
    "list_training_sets": lambda d: list_training_sets(d.lake, "churn"),
    "read_manifest": lambda d: read_manifest(d.lake, "churn", "absent"),
    "read_standing": lambda d: read_standing(d, "churn"),
    "read_ledger": lambda d: read_ledger(d, "churn", at=DAYS[-1]),
    "read_group_report": lambda d: read_group_report(d, GROUP, DAYS[-1]),
    "read_row_accounts": lambda d: read_row_accounts(d.lake),
    "read_lake_tables": lambda d: list(read_lake_tables(d.lake)),
    "read_nights": lambda d: list(read_nights(d, "churn", DAYS, rows={}, decisions=(), moves=())),
}


def everything(deployment: Any) -> list[object]:
    """Return what stands in the state, each row with the transaction that wrote it, and in the lake's folder."""
    return [*_rows(deployment.state), *_files(Path(deployment.lake.uri.removeprefix("file://")).parent)]


def _rows(state: StateStoreAdapter) -> Iterator[object]:
    with state._engine.connect() as connection:
        for table in sorted(sa.inspect(connection).get_table_names()):
            yield table
            yield from connection.execute(sa.text(f'SELECT xmin::text, t::text FROM "{table}" t ORDER BY ctid')).all()


def _files(folder: Path) -> Iterator[object]:
    for path in sorted(folder.rglob("*")):
        found = path.stat()
        yield str(path), found.st_ino, found.st_mtime_ns, found.st_size


def answers_that_changed_something(deployment: Any, *, may_refuse: bool) -> list[str]:
    changing = []
    for name, ask in QUESTIONS.items():
        before = everything(deployment)
        with suppress(MlopsError) if may_refuse else nullcontext():
            ask(deployment)
        if everything(deployment) != before:
            changing.append(name)
    return changing


def test_a_question_leaves_every_row_and_file_as_it_was(deployment, monkeypatch):
    monkeypatch.setattr("include.steps.find_day.Deployment.from_env", lambda: deployment)
    assert answers_that_changed_something(deployment, may_refuse=False) == []


def test_a_question_to_a_deployment_that_holds_nothing_makes_nothing(empty, monkeypatch):
    monkeypatch.setattr("include.steps.find_day.Deployment.from_env", lambda: empty)
    assert answers_that_changed_something(empty, may_refuse=True) == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d.feature_store.service_features("churn_v1"),
        lambda d: d.feature_store.online("churn_v1", ["c1"]),
        lambda d: d.feature_store.online_group(GROUP, ["c1"]),
        lambda d: d.feature_store.materialize(GROUP, start=DAYS[0], end=DAYS[0]),
        lambda d: d.model_registry.find("churn-predictor", tag="model_id", value="churn"),
        lambda d: d.model_registry.aliases("churn-predictor"),
        lambda d: d.model_registry.load("churn-predictor", 1, registered=None),
    ],
    ids=["service_features", "online", "online_group", "materialize", "find", "aliases", "load"],
)
@pytest.mark.parametrize("backend", ["postgres", "sqlite"])
def test_feast_and_mlflow_make_nothing_before_they_are_deployed(backend, ask, tmp_path, request):
    names = ("MLOPS_FEAST_REGISTRY_URL", "MLOPS_FEAST_ONLINE_URL", "MLFLOW_TRACKING_URI")
    if backend == "postgres":
        urls = dict.fromkeys(names, request.getfixturevalue("postgres_database"))
    else:
        urls = {name: f"sqlite:///{tmp_path}/deep/{name}.db" for name in names}
    settings = Settings.from_env({"MLOPS_HOME": str(tmp_path), **urls})
    with pytest.raises(MlopsError, match=r"make up|apply feature_repo first"):
        ask(Deployment(settings))
    assert list(_files(tmp_path)) == []
    if backend == "postgres":
        with sa.create_engine(urls[names[0]], poolclass=sa.NullPool).connect() as connection:
            assert sa.inspect(connection).get_table_names() == []


def test_what_is_stale_and_what_agrees_is_answered_and_a_build_records_it(deployment):
    newest = source_version(deployment)
    found = find_stale(deployment, load_feature_group(GROUP), source_versions=of_orders(newest))
    assert (found.stale, found.agreeing) == (("2024-01-02", "2024-01-03"), {"2024-01-01": of_orders(newest - 1)})
    build_features(deployment, GROUP, start=DAYS[-1], end=DAYS[-1])
    assert deployment.state.source_versions(TABLE) == {
        DAYS[0]: of_orders(newest),
        DAYS[1]: of_orders(newest - 1),
        DAYS[2]: of_orders(newest),
    }
