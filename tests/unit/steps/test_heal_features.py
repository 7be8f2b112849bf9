from __future__ import annotations

import shutil
from copy import deepcopy
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.adapters.lake.delta_lake import digest
from include.adapters.lake.partition_reports import read_report
from include.errors import RefusedError, UsageError
from include.partitions import span
from include.specs.groups import load_feature_group
from include.steps.build_features import build_features
from include.steps.heal_features import heal_features
from include.steps.materialize_features import materialize_features
from tests.raw_orders import line, orders, publish_source, random_orders
from tests.unit.steps.fakes import FakeDeployment

GROUP, TABLE = "customer_daily", "features/customer_daily"


@pytest.fixture
def deployment(tmp_path: Path) -> FakeDeployment:
    return FakeDeployment(tmp_path / "lake")


def build(deployment: Any, start: str, end: str | None = None) -> Any:
    return build_features(deployment, GROUP, start=start, end=end or start)


def arrive(deployment: Any, *lines: dict[str, Any], nights: list[str] | None = None) -> None:
    """Add lines to the lake, day by day, and the record that `nights` were delivered; by default the lines' days."""
    raw = orders(*lines)
    for day in sorted({made["dt"] for made in lines}):
        rows = raw.filter(pc.equal(raw["dt"], day))
        deployment.lake.update(
            "raw/orders",
            [str(day)],
            lambda present, rows=rows: rows if present is None else pa.concat_tables([present, rows]),
        )
    for night in nights if nights is not None else sorted({str(made["dt"]) for made in lines}):
        day = date.fromisoformat(night)
        record = pa.table({"month": [night[:7]], "dt": [day], "delivered": [night], "has_arrived": [True]})
        deployment.lake.update(
            "deliveries/orders",
            [night[:7]],
            lambda present, record=record: record if present is None else pa.concat_tables([present, record]),
            partition_by="month",
        )


def late(ordered_at: str, customer: str, **changes: Any) -> dict[str, Any]:
    return line(ordered_at, customer=customer, received_at=datetime(2024, 1, 5, tzinfo=UTC), **changes)


def versions(deployment: Any, day: str) -> list[tuple[str, str, int | None]]:
    rows = deployment.lake.read(TABLE, start=day, end=day).to_pylist()
    return [(r["customer_id"], r["created_timestamp"].date().isoformat(), r["total_orders_30d"]) for r in rows]


@pytest.fixture
def three_days(deployment: FakeDeployment) -> FakeDeployment:
    arrive(deployment, line("2024-01-01"), line("2024-01-02"), line("2024-01-03"))
    return deployment


def test_what_was_known_stays_where_a_correction_moves_an_order_to_a_later_day(three_days: FakeDeployment) -> None:
    """Nothing up to the day that it has left says so."""
    moved = line("2024-01-01 12:00:00", customer="c9", order="m")
    arrive(three_days, moved, nights=[])
    build(three_days, "2024-01-01", "2024-01-03")
    known = [found for found in versions(three_days, "2024-01-02") if found[0] == "c9"]
    three_days.lake.update(
        "raw/orders", ["2024-01-01"], lambda present: present.filter(pc.not_equal(present["order_id"], "m"))
    )
    arrive(three_days, late("2024-01-04 03:00:00", "c9", order="m"), nights=["2024-01-04"])
    heal_features(three_days, GROUP)

    assert known == [("c9", "2024-01-03", 1)]
    assert [found for found in versions(three_days, "2024-01-02") if found[0] == "c9"] == [
        *known,
        ("c9", "2024-01-05", None),
    ]


def test_late_rows_are_healed_from_their_day_on_and_the_night_is_built_alone(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01", "2024-01-03")
    arrive(three_days, late("2024-01-02 12:00:00", "c2"), nights=["2024-01-04"])

    assert build(three_days, "2024-01-04").start == "2024-01-04"
    healed = heal_features(three_days, GROUP)

    assert healed is not None
    assert (healed.start, healed.end) == ("2024-01-02", "2024-01-03")
    assert versions(three_days, "2024-01-02") == [("c1", "2024-01-03", 2), ("c2", "2024-01-05", 1)]


def test_late_rows_from_before_the_first_partition_build_none_before_it(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-03")
    arrive(three_days, late("2024-01-01 12:00:00", "c2"), nights=["2024-01-04"])
    healed = heal_features(three_days, GROUP)
    assert healed is not None
    assert healed.start == "2024-01-03"


def test_a_correction_adds_rows_where_something_changed_and_erases_none(three_days: FakeDeployment) -> None:
    arrive(three_days, line("2024-01-02 09:00:00", customer="c9"))
    build(three_days, "2024-01-01", "2024-01-03")
    before = three_days.lake.read(TABLE)
    arrive(three_days, late("2024-01-02 12:00:00", "c1"), nights=[])

    healed = heal_features(three_days, GROUP)

    assert healed is not None
    assert (healed.start, healed.end) == ("2024-01-02", "2024-01-03")
    assert versions(three_days, "2024-01-02") == [
        ("c1", "2024-01-03", 2),
        ("c1", "2024-01-05", 3),
        ("c9", "2024-01-03", 1),
    ]
    kept = three_days.lake.read(TABLE)
    past = kept.filter(
        pc.less(kept["created_timestamp"], pa.scalar(datetime(2024, 1, 5, tzinfo=UTC), kept["created_timestamp"].type))
    )
    assert digest(past) == digest(before)


def test_healing_again_finds_nothing_and_a_lake_without_corrections_neither(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01", "2024-01-03")
    assert heal_features(three_days, GROUP) is None
    arrive(three_days, late("2024-01-02 12:00:00", "c1"), nights=[])
    assert heal_features(three_days, GROUP) is not None
    version = three_days.lake.version(TABLE)
    assert heal_features(three_days, GROUP) is None
    assert three_days.lake.version(TABLE) == version


def test_days_that_do_not_follow_one_another_are_healed_in_a_commit_each(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01")
    build(three_days, "2024-01-03")
    version = three_days.lake.version(TABLE)
    arrive(three_days, late("2024-01-01 12:00:00", "c2"), nights=[])
    heal_features(three_days, GROUP)
    assert three_days.lake.version(TABLE) == (version or 0) + 2
    assert three_days.lake.partitions(TABLE) == ["2024-01-01", "2024-01-03"]


def test_an_order_that_turns_out_to_be_another_customers_retracts_the_first_one(three_days: FakeDeployment) -> None:
    arrive(three_days, line("2024-01-03 08:00:00", customer="c5", order="o5"))
    build(three_days, "2024-01-03")
    moved = late("2024-01-03 08:00:00", "c6", order="o5")
    three_days.lake.update(
        "raw/orders",
        ["2024-01-03"],
        lambda rows: pa.concat_tables([rows.filter(pc.not_equal(rows["order_id"], "o5")), orders(moved)]),
    )

    heal_features(three_days, GROUP)

    assert versions(three_days, "2024-01-03") == [
        ("c1", "2024-01-04", 3),
        ("c5", "2024-01-04", 1),
        ("c5", "2024-01-05", None),
        ("c6", "2024-01-05", 1),
    ]


def test_a_group_that_was_never_built_can_not_be_healed(deployment: FakeDeployment) -> None:
    with pytest.raises(UsageError, match="nothing to heal"):
        heal_features(deployment, GROUP)


def with_late_rows(deployment: Any) -> None:
    """Publish forty days of which some rows were received days after, all of them at once and again changed."""
    first = random_orders(rows=300, customers=12, first_day="2024-01-01", days=40, seed=3)
    publish_source(deployment.lake, first)
    build(deployment, "2024-01-20", "2024-01-24")
    changed = random_orders(rows=300, customers=12, first_day="2024-01-01", days=40, seed=4)
    publish_source(deployment.lake, changed)


def copied(deployment: Any, folder: Path) -> FakeDeployment:
    """Return a deployment that is what another is by now."""
    shutil.copytree(deployment.lake.uri.removeprefix("file://"), folder)
    made = FakeDeployment(folder)
    made.state = deepcopy(deployment.state)
    return made


def test_a_heal_of_a_range_gives_the_versions_of_its_days_one_by_one(deployment: Any, tmp_path: Path) -> None:
    with_late_rows(deployment)
    other = copied(deployment, tmp_path / "other")

    heal_features(deployment, GROUP)
    for day in reversed(span("2024-01-20", "2024-01-24")):
        build(other, day)

    assert deployment.lake.read(TABLE).num_rows > 5 * 12
    assert other.lake.digest(TABLE) == deployment.lake.digest(TABLE)


@pytest.mark.thorough
def test_a_heal_in_portions_gives_what_one_portion_gives(
    deployment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_late_rows(deployment)
    other = copied(deployment, tmp_path / "other")
    heal_features(deployment, GROUP)
    monkeypatch.setattr("include.steps.heal_features._DAYS_PER_COMMIT", 2)
    version = other.lake.version(TABLE) or 0

    healed = heal_features(other, GROUP)

    assert healed is not None
    assert (healed.start, healed.end) == ("2024-01-20", "2024-01-24")
    assert other.lake.version(TABLE) == version + 3
    assert other.lake.digest(TABLE) == deployment.lake.digest(TABLE)


def test_a_new_column_is_filled_in_place_over_a_range_with_late_rows(deployment: Any) -> None:
    raw = random_orders(rows=300, customers=12, first_day="2024-01-01", days=40, seed=3)
    publish_source(deployment.lake, raw)
    build(deployment, "2024-01-10", "2024-01-30")
    whole = deployment.lake.read(TABLE)
    assert pc.any(pc.greater(whole["created_timestamp"], whole["event_timestamp"])).as_py()
    narrow, keys = whole.drop_columns(["tenure_days"]), deployment.lake.partitions(TABLE)
    older = FakeDeployment(Path(deployment.lake.uri.removeprefix("file://")).with_name("older"))
    publish_source(older.lake, raw)
    published = older.lake.replace(TABLE, narrow, keys=keys)
    versions = {"raw/orders": older.lake.version("raw/orders") or 0}
    older.state.record_publications(TABLE, [(key, 1) for key in keys], published.version, source_versions=versions)

    build(older, "2024-01-10", "2024-01-30")

    assert older.lake.digest(TABLE) == digest(whole)


def test_what_was_online_is_brought_online_again_and_nothing_else(three_days: FakeDeployment) -> None:
    build(three_days, "2024-01-01", "2024-01-03")
    materialize_features(three_days, GROUP, start="2024-01-02", end="2024-01-02")  # type: ignore[arg-type]
    arrive(three_days, late("2024-01-01 12:00:00", "c2"), nights=["2024-01-04"])
    three_days.feature_store.calls.clear()

    heal_features(three_days, GROUP)  # type: ignore[arg-type]
    assert three_days.feature_store.calls == [(GROUP, "2024-01-02", "2024-01-02")]

    heal_features(three_days, GROUP)  # type: ignore[arg-type]
    assert len(three_days.feature_store.calls) == 1


def test_a_heal_that_stopped_before_it_was_online_is_completed_by_the_next(
    three_days: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(three_days, "2024-01-01", "2024-01-03")
    materialize_features(three_days, GROUP, start="2024-01-01", end="2024-01-03")  # type: ignore[arg-type]
    arrive(three_days, late("2024-01-02 12:00:00", "c2"), nights=["2024-01-04"])
    three_days.feature_store.calls.clear()
    with monkeypatch.context() as broken:
        broken.setattr(three_days.feature_store, "materialize", _fail)
        with pytest.raises(ConnectionError):
            heal_features(three_days, GROUP)  # type: ignore[arg-type]

    assert heal_features(three_days, GROUP) is None  # type: ignore[arg-type]

    assert three_days.feature_store.calls == [(GROUP, "2024-01-02", "2024-01-03")]


def _fail(*_: object, **__: object) -> int:
    raise ConnectionError("the store is down")


def test_a_day_that_breaks_its_yaml_once_corrected_keeps_no_other_day_from_being_healed(
    three_days: FakeDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(three_days, "2024-01-01", "2024-01-03")
    arrive(three_days, late("2024-01-01 12:00:00", "c2", quantity=900), late("2024-01-03 12:00:00", "c3"))
    spec = load_feature_group(GROUP)
    columns = tuple(
        column.model_copy(update={"max": 1.0}) if column.name == "days_since_last_order" else column
        for column in spec.columns
    )
    narrow = spec.model_copy(update={"columns": columns})
    monkeypatch.setattr("include.steps.heal_features.load_feature_group", lambda group: narrow)
    before = versions(three_days, "2024-01-03")

    with pytest.raises(RefusedError, match=r"1 of 3 days .* keep what was published.*days_since_last_order"):
        heal_features(three_days, GROUP)  # type: ignore[arg-type]

    assert versions(three_days, "2024-01-02")[-1][0] == "c2"
    assert versions(three_days, "2024-01-03") == before
    assert [check.column for check in read_report(three_days.lake, GROUP, "2024-01-03").failed] == [
        "days_since_last_order"
    ]
