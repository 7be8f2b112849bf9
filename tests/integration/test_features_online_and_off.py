"""A night's features, online and offline: verified, audited, healed, and a customer erased, on real stores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from click.testing import CliRunner

from include.adapters.deployment import Deployment
from include.adapters.lake.history import remove_old_files
from include.adapters.lake.online_log import append_vectors, read_vectors
from include.adapters.lake.row_digest import digest
from include.cli.features import features as features_cli
from include.cli.orders import orders as orders_cli
from include.errors import MlopsError, RefusedError, UsageError
from include.partitions import end_of, parse, shift, span
from include.specs import deployed, groups, models, services
from include.specs.deployed import load_specs
from include.specs.sources import load_source
from include.specs.yaml_files import CONFIG_ROOT
from include.steps.audit_features import audit_features, require_no_skew
from include.steps.build_features import build_features
from include.steps.forget_person import forget_person
from include.steps.heal_features import heal_features
from include.steps.materialize_features import materialize_features
from include.steps.verify_online import verify_online
from include.tables import online_vectors_table
from tests.deployments import deployed_beside
from tests.raw_orders import line, orders, publish_source, random_orders

GROUP, TABLE, LOG = "customer_daily", "features/customer_daily", "online_vectors/churn"
FIRST, LAST = "2024-01-05", "2024-01-12"
ASKED = "2024-01-13"


@pytest.fixture(scope="module")
def deployment(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Eight nights of twelve customers, built and online."""
    with deployed_beside(home, tmp_path_factory.mktemp("features"), "on_and_off") as made:
        raw = random_orders(rows=400, customers=12, first_day="2024-01-01", days=12, seed=4)
        publish_source(made.lake, raw)
        build_features(made, GROUP, start=FIRST, end=LAST)
        materialize_features(made, GROUP, start=FIRST, end=LAST)
        verify_online(made, GROUP, partition=LAST)
        yield made


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a copy of the configuration that it may write to."""
    root = shutil.copytree(CONFIG_ROOT, tmp_path / "config")
    for module in (deployed, groups, models, services):
        monkeypatch.setattr(module, "CONFIG_ROOT", root)
    caches = (groups._load_feature_group, services._load_feature_service, models._load_model)
    for cache in caches:
        cache.cache_clear()
    yield root
    for cache in caches:
        cache.cache_clear()


def correct(deployment: Deployment, day: str, *lines: dict[str, Any]) -> None:
    deployment.lake.update("raw/orders", [day], lambda rows: pa.concat_tables([rows, orders(*lines)]))


def log_again(deployment: Deployment, vectors: pa.Table, *, work: str) -> None:
    entity = models.load_model("churn").entity
    table = online_vectors_table("churn", entity.keys, entity.whose)
    assert append_vectors(deployment.lake, table, vectors, work=work, number=1)
    assert not append_vectors(deployment.lake, table, vectors, work=work, number=1)


def late(day: str, customer: str) -> dict[str, Any]:
    return line(f"{day}T09:00", customer=customer, received_at=datetime(2024, 1, 20, tzinfo=UTC))


def test_every_entity_of_the_night_agrees(deployment: Deployment) -> None:
    assert verify_online(deployment, GROUP, partition=LAST) == 12
    assert verify_online(deployment, GROUP, partition=LAST, sample=5) == 5
    # The store holds later rows of these customers: newer is not wrong.
    assert verify_online(deployment, GROUP, partition=FIRST) > 0


@pytest.mark.parametrize(
    ("service", "features"),
    [
        pytest.param("not_applied_v1", {"service": "not_applied_v1"}, id="a service that nobody applied"),
        pytest.param("churn_v1", {"service": "churn_v1", "group": "churn_scores"}, id="a group that was never built"),
    ],
)
def test_a_model_that_has_no_vectors_yet_does_not_keep_the_others_from_theirs(
    deployment: Deployment,
    config: Path,
    caplog: pytest.LogCaptureFixture,
    service: str,
    features: dict[str, str],
) -> None:
    shipped = yaml.safe_load((config / "services" / "churn_v1.yaml").read_text())
    (config / "services" / f"{service}.yaml").write_text(yaml.safe_dump({**shipped, "service": service}))
    model = yaml.safe_load((config / "models" / "churn.yaml").read_text())
    names = {"model_id": "another", "registered_name": "another", "population": "true"}
    model |= {**names, "features": {**model["features"], **features}}
    model["monitoring"]["slices"] = []
    (config / "models" / "another.yaml").write_text(yaml.safe_dump(model))
    assert {"another", "churn"} <= set(load_specs().models)
    shutil.rmtree(deployment.settings.home / "lake" / LOG)
    assert verify_online(deployment, GROUP, partition=LAST) == 12
    assert read_vectors(deployment.lake, LOG, ASKED) is not None
    assert not deployment.lake.exists("online_vectors/another")
    assert ("model=another" in caplog.text) == (service == "not_applied_v1")
    with pytest.raises(MlopsError) as told:
        require_no_skew(deployment, "another", partition=LAST)
    assert ("run apply_feature_repo" in str(told.value)) == (service == "not_applied_v1")
    assert isinstance(told.value, RefusedError) == (service != "not_applied_v1")


def test_a_night_that_is_not_published_is_not_called_compared(deployment: Deployment) -> None:
    with pytest.raises(UsageError, match=r"customer_daily of 2023-01-01 can.t be compared: .* is not published"):
        verify_online(deployment, GROUP, partition="2023-01-01")


def test_the_verified_vectors_are_logged_once_and_agree_with_the_offline_store(deployment: Deployment) -> None:
    verify_online(deployment, GROUP, partition=LAST)
    vectors = read_vectors(deployment.lake, LOG, ASKED)
    assert vectors is not None
    requests = vectors["request_id"].to_pylist()
    assert len(set(requests)) == len(requests)
    # Three of the twelve were known later than the night, by late orders, and stand on that day.
    assert sum(request.startswith(f"verify-{LAST}-") for request in requests) == 9
    report = audit_features(deployment, "churn", partition=ASKED)
    assert (report.rows, report.differing.num_rows) == (len(requests), 0)
    assert set(report.mismatches) == set(deployment.feature_store.service_features("churn_v1"))
    assert require_no_skew(deployment, "churn", partition=LAST) == report.mismatches


def test_vectors_are_held_against_the_service_that_they_were_logged_with(deployment: Deployment, config: Path) -> None:
    shipped = yaml.safe_load((config / "services" / "churn_v1.yaml").read_text())
    fewer = {GROUP: shipped["features"][GROUP][:1]}
    moved = yaml.safe_dump({**shipped, "service": "churn_v2", "features": fewer})
    (config / "services" / "churn_v2.yaml").write_text(moved)
    model = yaml.safe_load((config / "models" / "churn.yaml").read_text())
    model["features"]["service"] = "churn_v2"
    (config / "models" / "churn.yaml").write_text(yaml.safe_dump(model))
    assert models.load_model("churn").features.service == "churn_v2"
    report = audit_features(deployment, "churn", partition=ASKED)
    assert set(report.mismatches) == set(deployment.feature_store.service_features("churn_v1"))
    assert report.differing.num_rows == 0


def test_a_vector_that_was_not_the_offline_one_is_reported_by_feature_and_row(deployment: Deployment) -> None:
    vectors = read_vectors(deployment.lake, LOG, ASKED)
    assert vectors is not None
    skewed = vectors.slice(0, 1).set_column(0, "request_id", pa.array(["r1"]))
    wrong = pc.add(skewed["tenure_days"], 1)
    skewed = skewed.set_column(skewed.column_names.index("tenure_days"), "tenure_days", wrong)
    log_again(deployment, skewed, work="skewed")
    try:
        report = audit_features(deployment, "churn", partition=ASKED)
        assert {name for name, count in report.mismatches.items() if count} == {"tenure_days"}
        (row,) = report.differing.to_pylist()
        assert (row["request_id"], row["feature"]) == ("r1", "tenure_days")
        assert int(row["online"]) == int(row["offline"]) + 1
        with pytest.raises(MlopsError, match=r"1 values of \d+ online vectors .*'tenure_days': 1"):
            require_no_skew(deployment, "churn", partition=LAST)
        answer = CliRunner().invoke(
            features_cli, ["audit", "--model", "churn", "--date", ASKED, "--json"], standalone_mode=False
        )
        assert answer.return_value == 1
        assert json.loads(answer.stdout)["mismatches"]["tenure_days"] == 1
    finally:
        kept = deployment.lake.read(LOG, start=ASKED, end=ASKED)
        deployment.lake.replace(LOG, kept.filter(pc.not_equal(kept["request_id"], "r1")), keys=[ASKED])


def test_a_heal_between_materialising_and_verifying_a_night_fails_neither(deployment: Deployment) -> None:
    before = deployment.lake.read(TABLE, start=FIRST, end=FIRST)
    later = pc.add(before["created_timestamp"], pa.scalar(timedelta(days=30)))
    healed = before.set_column(before.column_names.index("created_timestamp"), "created_timestamp", later)
    healed = healed.set_column(
        healed.column_names.index("tenure_days"), "tenure_days", pc.add(healed["tenure_days"], 1)
    )
    version = deployment.lake.version(TABLE)
    deployment.lake.replace(TABLE, pa.concat_tables([before, healed]), keys=[FIRST])
    try:
        assert verify_online(deployment, GROUP, partition=FIRST) > 0
        assert deployment.state.table_versions(f"online/{GROUP}")[FIRST] == version
    finally:
        deployment.lake.replace(TABLE, before, keys=[FIRST])


def test_what_was_corrected_after_it_was_served_is_no_skew_whenever_it_says_it_was_known(
    deployment: Deployment,
) -> None:
    table, before = deployment.lake.read(TABLE, start=LAST, end=LAST), deployment.lake.version(TABLE)
    assert audit_features(deployment, "churn", partition=ASKED).differing.num_rows == 0
    # Known before the vectors were asked for, by its received_at; in the table only after they were.
    raised = table.set_column(table.column_names.index("tenure_days"), "tenure_days", pc.add(table["tenure_days"], 1))
    deployment.lake.replace(TABLE, raised, keys=[LAST])
    try:
        assert audit_features(deployment, "churn", partition=ASKED).differing.num_rows == 0
        assert deployment.lake.version(TABLE) != before
    finally:
        deployment.lake.replace(TABLE, table, keys=[LAST])


def test_vectors_of_a_night_whose_whole_delivery_was_late_are_not_held_against_the_next_nights_rows(
    deployment: Deployment,
) -> None:
    # Online is newer than FIRST by days: what was read is no vector of the night after FIRST.
    verify_online(deployment, GROUP, partition=FIRST)
    day = shift(FIRST, 1)
    logged = read_vectors(deployment.lake, LOG, day)
    assert logged is None or not any(name.startswith(f"verify-{FIRST}-") for name in logged["request_id"].to_pylist())


def test_vectors_of_another_version_of_the_service_lie_in_one_log(deployment: Deployment) -> None:
    vectors = read_vectors(deployment.lake, LOG, ASKED)
    assert vectors is not None
    other = vectors.slice(0, 1).drop_columns(["tenure_days"]).set_column(0, "request_id", pa.array(["v2"]))
    other = other.append_column("basket_size", pa.array([1.5], pa.float32()))

    log_again(deployment, other, work="another version")

    logged = read_vectors(deployment.lake, LOG, ASKED)
    assert logged is not None
    assert logged.num_rows == vectors.num_rows + 1
    assert logged["basket_size"].null_count == logged["tenure_days"].null_count + vectors.num_rows - 1
    kept = logged.filter(pc.not_equal(logged["request_id"], "v2"))
    deployment.lake.replace(LOG, kept.append_column("dt", pa.array([parse(ASKED)] * kept.num_rows)), keys=[ASKED])


def test_a_day_without_vectors_can_not_be_audited(deployment: Deployment) -> None:
    with pytest.raises(UsageError, match="no online vector of churn of 2024-02-01 can be audited"):
        audit_features(deployment, "churn", partition="2024-02-01")
    with pytest.raises(RefusedError, match="no online vector of churn was logged for 2024-02-01"):
        require_no_skew(deployment, "churn", partition="2024-02-01")


def test_a_correction_reaches_both_stores_and_leaves_what_was_known_before(deployment: Deployment) -> None:
    rows = deployment.lake.read(TABLE)
    entities = rows.select(["customer_id", "event_timestamp"])
    before = digest(deployment.feature_store.historical("churn_v1", entities))
    version = deployment.lake.version(TABLE)
    correct(deployment, "2024-01-08", late("2024-01-08", "c3"))

    healed = heal_features(deployment, GROUP)

    assert healed is not None
    assert (healed.start, healed.end, healed.version) == ("2024-01-08", LAST, (version or 0) + 1)
    assert digest(deployment.feature_store.historical("churn_v1", entities)) == before
    now = deployment.feature_store.historical("churn_v1", entities, known_at=False)
    assert digest(now) != before
    online = deployment.feature_store.online_group(GROUP, ["c3"], at=end_of(LAST))
    assert online.created_timestamps["total_orders_30d"].to_pylist() > [end_of(LAST)]
    assert verify_online(deployment, GROUP, partition=LAST) == 12


def test_published_partitions_are_checked_from_the_command_line(deployment: Deployment) -> None:
    arguments = ["check", "--group", GROUP, "--date", FIRST, "--end", LAST, "--json"]
    answer = CliRunner().invoke(features_cli, arguments, standalone_mode=False)
    assert (answer.return_value, json.loads(answer.stdout)["passed"]) == (0, True)
    with pytest.raises(UsageError, match="has no published partition 2024-01-13"):
        CliRunner().invoke(
            features_cli, ["check", "--group", GROUP, "--date", ASKED], standalone_mode=False, catch_exceptions=False
        )


def test_a_forgotten_customer_is_in_no_table_and_not_online(deployment: Deployment) -> None:
    gone = "c7"
    others = {name: _without(deployment, name, gone) for name in ("raw/orders", TABLE)}
    stale = deployment.state.source_versions(TABLE)

    answer = CliRunner().invoke(orders_cli, ["forget", gone, "--json"], standalone_mode=False, catch_exceptions=False)

    erased = json.loads(answer.stdout)
    assert set(erased["rows"]) == {"raw/orders", TABLE, LOG}
    assert erased["online"] == {GROUP: 1}
    for name, rest in others.items():
        assert digest(deployment.lake.read(name)) == rest
    assert deployment.feature_store.online("churn_v1", [gone, "c3"], at=end_of(LAST)).unknown == (gone,)
    # Nobody else's partitions count as stale for it.
    assert set(deployment.state.source_versions(TABLE)) == set(stale) == set(span(FIRST, LAST))
    assert heal_features(deployment, GROUP) is None
    with pytest.raises(UsageError, match="is in no table"):
        forget_person(deployment, gone, source=load_source("orders"), today=date(2024, 2, 1))


def _without(deployment: Deployment, table: str, customer: str) -> str:
    rows = deployment.lake.read(table)
    assert pc.any(pc.equal(rows["customer_id"], customer)).as_py()
    return digest(rows.filter(pc.not_equal(rows["customer_id"], customer)))


def test_a_night_whose_version_has_expired_says_so_and_can_be_brought_online_anew(deployment: Deployment) -> None:
    deployment.state.record_publications(f"online/{GROUP}", [(LAST, 12)], 0)
    correct(deployment, LAST, late(LAST, "c5"))
    heal_features(deployment, GROUP)
    deployment.state.record_publications(f"online/{GROUP}", [(LAST, 12)], 0)
    remove_old_files(deployment.lake, TABLE, retention_days=0, keep_versions=())
    with pytest.raises(RefusedError, match=r"went online from version 0 of features/customer_daily, which has expired"):
        verify_online(deployment, GROUP, partition=LAST)
    # What the message says to run.
    build_features(deployment, GROUP, start=LAST, end=LAST)
    materialize_features(deployment, GROUP, start=LAST, end=LAST)
    assert verify_online(deployment, GROUP, partition=LAST) > 0
