"""Nights that a paused or failing consumer missed are named, made up for, and leave what they would have left.

A shop's nights are played twice on the steps that the DAGs run, once with a fault on most of them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from include import partitions
from include.adapters.deployment import Deployment
from include.cli.main import cli
from include.errors import RefusedError
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.steps.find_stale_scores import find_stale_scores
from include.steps.heal_features import heal_features
from include.steps.night_status import read_night_status
from include.steps.repair_nights import repair_nights
from include.steps.rescore_stale import rescore_stale
from include.steps.watch_nights import watch_nights
from tests.commands import start
from tests.deployments import deployed_beside
from tests.night_loop import (
    DAYS,
    DECISION,
    DELETED,
    DOWN,
    FAILED,
    NIGHTS,
    REVERSED,
    TABLES,
    UNBUILT,
    UNMONITORED,
    UNSCORED,
    UNTRAINED,
    Loop,
    approve,
    begin,
    play_clean,
    play_with_faults,
    taken_up,
    written,
)
from tests.shop import OVERLAY, deliver, make_orders, on_days

pytestmark = pytest.mark.timeout(600)

BROKEN, LAST = "2026-04-28", "2026-04-29"
SILENT, AFTER = "2026-04-30", "2026-05-01"


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    (folder / "churn.yaml").write_text(yaml.safe_dump({**OVERLAY, "decision": {**OVERLAY["decision"], **DECISION}}))
    return folder


@pytest.fixture(scope="module")
def begun(home: Path, specs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights_begun", numbered=False)
    with deployed_beside(home, folder, folder.name, specs=specs) as made:
        begin(made)
    return folder


@pytest.fixture(scope="module")
def clean(home: Path, specs: Path, begun: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("nights_clean", numbered=False)
    with taken_up(home, begun, folder, specs=specs) as loop:
        play_clean(loop)
        approve(loop)
        return written(loop)


@pytest.fixture(scope="module")
def faulted(
    home: Path, specs: Path, begun: Path, clean: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("nights_faulted", numbered=False)
    with taken_up(home, begun, folder, specs=specs) as loop:
        play_with_faults(loop)
        yield loop


def test_a_night_without_a_fault_says_nothing_of_nights(faulted):
    assert "was not" not in faulted.reasons(NIGHTS[0])


@pytest.mark.parametrize(
    ("night", "told"),
    [
        pytest.param(UNSCORED, "was not scored: score_batch__churn did not run on it, or failed", id="score"),
        pytest.param(UNBUILT, "was not scored: materialize_features__customer_daily did not build", id="build"),
        pytest.param(UNMONITORED, "was not measured: monitor_model__churn did not run on it", id="monitor"),
        pytest.param(UNTRAINED, "waits: no training has claimed it", id="train"),
        pytest.param(FAILED, "was not scored: score_batch__churn did not run on it, or failed", id="failed for good"),
        pytest.param(REVERSED[0], "was not measured: monitor_model__churn did not run on it", id="in reverse"),
    ],
)
def test_the_next_decision_names_the_night_that_was_missed(faulted, night, told):
    later = min(d.partition for d in faulted.deployment.state.decisions("churn") if d.partition > night)
    assert f"{night} {told}" in faulted.reasons(later)


def test_a_version_that_nobody_was_asked_about_is_named_too(faulted):
    assert "a candidate waits for approval" in faulted.reasons(partitions.shift(FAILED, 1))


def test_nights_that_wait_are_decided_in_order_of_their_partition(faulted):
    first = list(dict.fromkeys(d.partition for d in faulted.deployment.state.decisions("churn")))
    assert first == [night for night in NIGHTS[:-3] if night not in (UNSCORED, UNBUILT, FAILED)]


def test_what_was_told_once_is_not_told_again(faulted):
    assert UNSCORED not in faulted.reasons(partitions.shift(UNSCORED, 4))


LATEST = f"{DOWN[0]} … {DOWN[-1]}"
ANNOUNCED = [
    f"group customer_daily: {DELETED['features/customer_daily']} was not built: its rows are gone from features/",
    f"group customer_daily: {UNBUILT} was not built: materialize_features__customer_daily did not build",
    f"group customer_daily: {LATEST} were not built: its orders lie in the landing folder, and ingest_orders did not",
    f"model churn: {UNSCORED} was not scored: score_batch__churn did not run on it, or failed; mlops nights repair",
    f"model churn: {UNBUILT} was not scored: materialize_features__customer_daily did not build",
    f"model churn: {DELETED['predictions/churn']} was not scored: its scores are gone from predictions/churn",
    f"model churn: {DELETED['outcomes/churn']} was without its outcomes: they are gone from outcomes/churn; mlops nigh",
    f"model churn: {FAILED} was not scored: score_batch__churn did not run on it, or failed",
    f"model churn: {LATEST} were not scored: its orders lie in the landing folder",
]


def test_each_kind_of_missing_night_is_announced_once(faulted):
    with pytest.raises(RefusedError) as told:
        watch_nights(faulted.deployment, until=NIGHTS[-1], run_id="watch 1")
    assert [each for each in ANNOUNCED if each not in str(told.value)] == []
    with pytest.raises(RefusedError, match="group customer_daily"):
        watch_nights(faulted.deployment, until=NIGHTS[-1], run_id="watch 1")
    assert watch_nights(faulted.deployment, until=NIGHTS[-1], run_id="watch 2") == {"open": 13, "ended": 0}


@pytest.mark.thorough
def test_a_repair_that_is_killed_half_way_is_taken_up_by_two_at_once(faulted, clean):
    deployment = faulted.deployment
    process = start(dict(os.environ), "nights", "repair", "--yes")
    lines = [process.stdout.readline() for _ in range(4)]
    process.kill()
    _, said = process.communicate()
    assert all(line.startswith("2026-04-1") for line in lines), said
    begun = {hole.key for hole in read_night_status(deployment).holes}
    assert 0 < len(begun) < 13
    with ThreadPoolExecutor(2) as pool:
        both = [*pool.map(lambda _: repair_nights(Deployment.from_env()), range(2))]
    assert sorted(len(each.repaired) for each in both) == [0, len(begun)]
    assert [each.left for each in both] == [(), ()]


def test_a_repair_leaves_nothing_missing(faulted, clean):
    assert repair_nights(faulted.deployment).left == ()
    assert read_night_status(faulted.deployment).holes == ()
    told = nights("status")[1].splitlines()[-1]
    assert told.startswith("watch_nights knows of 13, the first since ")
    assert told.endswith("Z; all of them are not missing any more: the next watch ends them")


def test_after_the_repair_the_tables_are_those_of_a_run_without_a_fault_and_nothing_acted_twice(faulted, clean):
    approve(faulted)
    assert written(faulted) == clean
    assert faulted.trainings == [UNTRAINED]
    assert clean["acted"] == [UNTRAINED]
    decided = [d.partition for d in faulted.deployment.state.decisions("churn") if d.run_id.startswith("mlops nights")]
    assert sorted(decided) == sorted({UNSCORED, UNBUILT, FAILED, *DOWN})


def test_what_is_made_up_for_is_no_incident_any_more(faulted):
    assert watch_nights(faulted.deployment, until=NIGHTS[-1], run_id="watch 3") == {"open": 0, "ended": 13}
    told = CliRunner().invoke(cli, ["nights", "status", "--json"], catch_exceptions=False).stdout
    found = json.loads(told)
    assert [night["partition"] for night in found["nights"]] == NIGHTS
    last = found["nights"][-1]
    done = ("delivered", "built", "online", "scored", "recorded", "measured", "decided")
    assert (last["model_id"], [last[word] for word in done]) == ("churn", [True] * len(done))
    assert (last["missing"], found["incidents"]) == ([], [])


def test_a_bad_delivery_that_is_put_right_lifts_its_veto(faulted):
    landing, right = faulted.deployment.settings.home / "landing", make_orders(days=DAYS)
    nameless = right.set_column(2, "customer_id", pa.nulls(right.num_rows, pa.string()))
    other = nameless.set_column(0, "order_id", pc.binary_join_element_wise("x", nameless["order_id"], ""))
    judged = []
    for arrived in (pa.concat_tables([nameless, other]), right):
        deliver(landing, arrived, BROKEN)
        faulted.deliver(BROKEN)
        faulted.build(BROKEN)
        faulted.score(BROKEN)
        judged.append(faulted.deployment.state.decisions("churn")[-1])
    first, second = judged
    assert (first.partition, first.action) == (BROKEN, "veto")
    assert "100.0% of" in first.reasons[0]
    assert (second.partition, second.action, second.acted) == (BROKEN, "hold", False)
    assert faulted.deployment.state.nights("churn")[-1]["data_quality"]["status"] == "ok"


def test_scores_that_a_correction_has_reached_are_told_and_made_anew_once(faulted):
    deployment, corrected = faulted.deployment, NIGHTS[-2]
    deliver_late(deployment.settings.home / "landing", of=corrected)
    faulted.deliver(LAST)
    faulted.build(LAST)
    assert find_stale_scores(deployment, load_model("churn"), until=BROKEN) == ()
    heal_features(deployment, "customer_daily")
    before = read_from(deployment, corrected)
    faulted.score(LAST)
    stale = find_stale_scores(deployment, load_model("churn"), until=BROKEN)
    assert [night.partition for night in stale] == [corrected, NIGHTS[-1], BROKEN]
    assert (stale[0].scores, stale[0].of) == (1, len(before))
    assert "; ".join(map(str, stale)) in faulted.reasons(LAST)
    assert rescore_stale(deployment, "churn", until=BROKEN) == stale
    after = read_from(deployment, corrected)
    assert [customer for customer, read in after.items() if read != before.get(customer)] == ["c0000"]
    assert rescore_stale(deployment, "churn", until=BROKEN) == ()


def deliver_late(landing: Path, *, of: str) -> None:
    """Deliver the last day with an order that came too late, of a customer who is scored."""
    today = on_days(make_orders(days=DAYS), LAST, LAST)
    late = today.slice(0, 1).to_pylist()[0]
    late |= {"order_id": "late", "customer_id": "c0000", "ordered_at": partitions.start_of(of)}
    rows = pa.concat_tables([today, pa.Table.from_pylist([late], schema=today.schema)])
    received = pa.array([partitions.end_of(LAST)] * rows.num_rows, pa.timestamp("us", "UTC"))
    folder = landing / "orders" / f"dt={LAST}"
    folder.mkdir(parents=True)
    pq.write_table(rows.append_column("received_at", received), folder / "orders.parquet")
    (folder / "_SUCCESS").touch()


def read_from(deployment: Deployment, night: str) -> dict[str, datetime]:
    """Return by customer when the features of a night's score had become known."""
    rows = deployment.lake.read("predictions/churn", start=night, end=night)
    return dict(zip(rows["customer_id"].to_pylist(), rows["feature_created_timestamp"].to_pylist(), strict=True))


def nights(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["nights", *arguments], standalone_mode=False)
    return done.return_value, done.output


def test_what_can_not_be_made_up_for_is_left_with_what_to_do(faulted, monkeypatch):
    landing = faulted.deployment.settings.home / "landing"
    deliver(landing, make_orders(days=DAYS), AFTER)
    faulted.deliver(AFTER)
    code, told = nights("repair", "--yes")
    late = "its orders have not been delivered; have them delivered, then mlops nights repair"
    assert code == 1
    assert f"left: group customer_daily: {SILENT} was not built: {late}" in told
    assert f"left: model churn: {SILENT} was not scored: {late}" in told
    deliver(landing, make_orders(days=DAYS), SILENT)
    spec = load_feature_group("customer_daily")
    narrow = tuple(c.model_copy(update={"max": 3.0}) if c.name == "tenure_days" else c for c in spec.columns)
    with monkeypatch.context() as patch:
        refusing = spec.model_copy(update={"columns": narrow})
        patch.setattr("include.steps.build_features.load_feature_group", lambda group: refusing)
        code, told = nights("repair", "--yes", "--end", SILENT)
    assert code == 1
    assert f"orders of {SILENT} taken; left: " in told
    assert f"model churn: {SILENT} was not scored: the quality gate refused features/customer_daily" in told
    code, told = nights("repair", "--yes")
    assert (code, told.splitlines()[-1]) == (0, "4 made up for, 0 left")
    assert nights("repair", "--yes")[1] == "0 made up for, 0 left\n"


def test_rows_that_are_gone_from_a_source_are_told_and_nothing_is_built_without_them(faulted):
    lake = faulted.deployment.lake
    before = {table: lake.digest(table) for table in TABLES}
    lake.delta("raw/orders").delete(f"dt = '{SILENT}'")
    lake.delta("features/customer_daily").delete(f"dt = '{AFTER}'")
    code, told = nights("repair", "--yes")
    assert code == 1
    assert f"left: source orders: {SILENT} was not in its table: rows of it were published, and raw/orders hold" in told
    assert f"left: group customer_daily: {AFTER} was not built: rows of {SILENT} are gone from what it reads" in told
    faulted.deliver(SILENT)
    assert nights("repair", "--yes")[0] == 0
    assert {table: lake.digest(table) for table in TABLES} == before


def test_files_that_were_removed_by_hand_are_told_and_made_up_for_but_not_those_of_a_source(faulted, tmp_path):
    lake, folder = faulted.deployment.lake, Path(faulted.deployment.lake.uri.removeprefix("file://"))
    before = {table: lake.digest(table) for table in TABLES}
    removed = (
        f"features/customer_daily/dt={SILENT}",
        f"predictions/churn/dt={AFTER}",
        f"outcomes/churn/known_on={BROKEN}",
    )
    for partition in removed:
        shutil.rmtree(folder / partition)
    assert [
        (hole.name, hole.night.partition, hole.night.lacks) for hole in read_night_status(faulted.deployment).holes
    ] == [
        ("customer_daily", SILENT, "features"),
        ("churn", BROKEN, "outcomes"),
        ("churn", AFTER, "scores"),
    ]
    assert nights("repair", "--yes")[0] == 0
    assert {table: lake.digest(table) for table in TABLES} == before
    away = shutil.move(folder / "raw/orders" / f"dt={SILENT}", tmp_path)
    code, told = nights("repair", "--yes")
    assert (code, "a file of it is gone from the folder of raw/orders: bring it back from a backup" in told) == (
        1,
        True,
    )
    shutil.move(away, folder / "raw/orders")
    assert nights("repair", "--yes")[1] == "0 made up for, 0 left\n"
