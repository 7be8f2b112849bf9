"""Sources whose day is not the UTC day, over both clock changes: nights, history and re-delivery give one table.

What a table should hold is worked out here with the time zone database alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
import yaml

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.sources.deliveries import delivered_days
from include.settings import Settings
from include.specs.source_formats import CANONICAL
from include.specs.sources import SourceSpec, load_source
from include.specs.yaml_files import CONFIG_ROOT
from include.steps.build_features import build_features
from include.steps.check_source import check_file
from include.steps.heal_features import heal_features
from include.steps.import_source import ImportAccount, import_delivery, import_file
from include.steps.read_arrivals import read_delivery, read_rows_delivered
from include.steps.split_source import split_source
from tests.deployments import lake_only
from tests.everyday import members
from tests.unit.quality.orders_builder import order, table

# The first and the last local day of some around a change of the clock.
SPRING, AUTUMN = ("2026-03-06", "2026-03-10"), ("2026-10-30", "2026-11-03")
CLOCKS = {
    "new york, spring": ("new_york", *SPRING),
    "new york, autumn": ("new_york", *AUTUMN),
    "berlin, spring": ("berlin", "2026-03-27", "2026-03-31"),
    "berlin, autumn": ("berlin", "2026-10-23", "2026-10-27"),
    "a bar of new york, spring": ("bar", *SPRING),
    "a bar of new york, autumn": ("bar", *AUTUMN),
}
# A day that does not begin at midnight, and has the hour that comes twice; a day east of UTC is built and healed below.
EVERY_DAY = ("a bar of new york, autumn",)
ONE = timedelta(days=1)
SOURCES = {
    "new_york": {"time_zone": "America/New_York"},
    "berlin": {"time_zone": "Europe/Berlin"},
    "bar": {"time_zone": "America/New_York", "day_starts": "04:00"},
}


@pytest.fixture(scope="module")
def overlay(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specs")
    (folder / "sources").mkdir()
    orders = yaml.safe_load((CONFIG_ROOT / "sources" / "orders.yaml").read_text())
    for name, clock in SOURCES.items():
        spec = {**orders, "source": name, **clock}
        del spec["dag_id"]
        (folder / "sources" / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(folder))
        yield


def opens(spec: SourceSpec, day: date) -> datetime:
    """Return when a local day begins: none of these begins within a clock change."""
    hour = int(spec.day_starts[:2])
    return datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(spec.time_zone)).astimezone(UTC)


def local_days(first: str, last: str) -> list[date]:
    return [partitions.parse(key) for key in partitions.span(first, last)]


def sold(spec: SourceSpec, day: date) -> list[datetime]:
    """Return an order each half hour of a local day, from its first instant to its last microsecond."""
    at, end = opens(spec, day), opens(spec, day + timedelta(days=1))
    times = [at + timedelta(minutes=30 * n) for n in range((end - at) // timedelta(minutes=30))]
    return [*times, end - timedelta(microseconds=1)]


def lines(times: Iterable[datetime]) -> pa.Table:
    return table(*(order(order_id=f"o-{at:%Y%m%d%H%M%S.%f}", ordered_at=at) for at in times))


def write(path: Path, rows: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)
    return path


def deliver(deployment: SimpleNamespace, spec: SourceSpec, day: date, rows: pa.Table) -> ImportAccount:
    folder = Path(deployment.settings.home) / "landing" / spec.source / f"dt={day}"
    shutil.rmtree(folder, ignore_errors=True)
    write(folder / "rows.parquet", rows)
    (folder / "_SUCCESS").touch()
    return import_delivery(deployment, str(day), source=spec.source, cross_check=False)


def stored(deployment: SimpleNamespace, spec: SourceSpec) -> list[tuple[datetime, datetime, date]]:
    rows = deployment.lake.read(spec.raw.name).to_pylist()
    return sorted((row["ordered_at"], row["received_at"], row["dt"]) for row in rows)


def truth(spec: SourceSpec, days: Iterable[date]) -> list[tuple[datetime, datetime, date]]:
    return sorted((at, opens(spec, day + timedelta(days=1)), at.date()) for day in days for at in sold(spec, day))


@pytest.fixture(scope="module", params=members(CLOCKS, daily=EVERY_DAY))
def clock(request, overlay):
    name, first, last = CLOCKS[request.param]
    return load_source(name), local_days(first, last)


@pytest.fixture(scope="module")
def by_nights(tmp_path_factory, clock):
    """Return a lake that took each night, and what became of each."""
    spec, days = clock
    deployment = lake_only(tmp_path_factory.mktemp("nights"))
    return deployment, [deliver(deployment, spec, day, lines(sold(spec, day))) for day in days]


def test_nights_hold_every_order_received_at_the_end_of_its_local_day(by_nights, clock):
    spec, days = clock
    deployment, accounts = by_nights
    assert [account.rows_quarantined for account in accounts] == [0] * len(days)
    assert stored(deployment, spec) == truth(spec, days)
    assert delivered_days(deployment.lake, spec) == [str(day) for day in days]


def test_the_account_of_a_night_is_of_its_whole_local_day(by_nights, clock):
    spec, days = clock
    for day, account in zip(days, by_nights[1], strict=True):
        night = read_delivery(by_nights[0], spec, str(day))
        assert night is not None
        assert (night.rows_delivered, night.rows_published) == (account.rows_in, account.rows_published)


def test_a_nights_volume_is_of_its_whole_local_day_however_long_and_whatever_came_since(by_nights, clock):
    spec, days = clock
    rows = {str(day): len(sold(spec, day)) for day in days}
    assert {*rows.values()} in ({47, 49}, {49, 51})
    for place, day in enumerate(map(str, days), start=1):
        assert read_rows_delivered(by_nights[0], spec, until=day) == dict([*rows.items()][:place])


def test_a_history_gives_the_table_and_the_arrivals_of_the_nights(by_nights, clock, tmp_path):
    spec, days = clock
    deployment = lake_only(tmp_path / "history")
    rows = lines(at for day in days for at in sold(spec, day))
    as_of = opens(spec, days[-1] + timedelta(days=1))
    path = write(tmp_path / "h.parquet", rows)
    check = check_file(
        path, spec, file_format=CANONICAL, as_of=as_of, time_zone=None, engine=Deployment(Settings.from_env()).duckdb
    )
    account = import_file(deployment, path, source=spec.source, as_of=as_of)
    assert account.rows_quarantined == 0
    assert (check.arrived_until, check.last_night) == (account.arrived_until, account.last_night)
    assert account.arrived_until == account.last_night == str(days[-1])
    assert deployment.lake.digest(spec.raw.name) == by_nights[0].lake.digest(spec.raw.name)
    assert delivered_days(deployment.lake, spec) == delivered_days(by_nights[0].lake, spec)


def test_a_delivery_or_a_history_again_changes_nothing(by_nights, clock, tmp_path):
    spec, days = clock
    deployment = by_nights[0]
    before = deployment.lake.version(spec.raw.name)
    for day in reversed(days):
        account = deliver(deployment, spec, day, lines(sold(spec, day)))
        assert account.unchanged == account.rows_in
    rows = lines(at for day in days for at in sold(spec, day))
    as_of = opens(spec, days[-1] + timedelta(days=1))
    account = import_file(deployment, write(tmp_path / "h.parquet", rows), source=spec.source, as_of=as_of)
    assert (account.unchanged, account.rows_quarantined) == (account.rows_in, 0)
    assert deployment.lake.version(spec.raw.name) == before
    assert delivered_days(deployment.lake, spec) == [str(day) for day in days]


def test_what_lies_past_the_local_day_is_of_the_future_and_nothing_before_its_end_is(tmp_path, clock):
    spec, days = clock
    end = opens(spec, days[3] + timedelta(days=1))
    rows = lines([end - timedelta(microseconds=1), end, end + timedelta(microseconds=1)])
    account = deliver(lake_only(tmp_path), spec, days[3], rows)
    # A delivery is made at the end of its day: that instant is not yet the future.
    assert account.rules["ordered_at_after_as_of"] == 1


def test_times_without_a_zone_are_of_the_deliverers_clock_however_they_come(tmp_path, clock):
    spec, days = clock
    zone, naive, history = ZoneInfo(spec.time_zone), lake_only(tmp_path / "naive"), lake_only(tmp_path / "history")
    read = {wall: instant(wall, zone) for day in days for wall in walls_of(spec, day)}
    by_day = {day: [wall for wall in read if opens(spec, day) <= read[wall] < opens(spec, day + ONE)] for day in days}

    def deliver_walls(day: date) -> ImportAccount:
        folder = Path(naive.settings.home) / "landing" / spec.source / f"dt={day}"
        csv.write_csv(told(by_day[day]), made(folder) / "rows.csv")
        (folder / "_SUCCESS").touch()
        return import_delivery(naive, str(day), source=spec.source, cross_check=False)

    assert sum(deliver_walls(day).rows_quarantined for day in days) == 0
    assert [at for at, *_ in stored(naive, spec)] == sorted(read.values())
    changed = days[2]
    again = deliver_walls(changed)
    assert again.unchanged == again.rows_in == len(by_day[changed])
    csv.write_csv(told(read), tmp_path / "log.csv")
    account = import_file(history, tmp_path / "log.csv", source=spec.source, as_of=opens(spec, days[-1] + ONE))
    assert (account.rows_quarantined, account.time_zone) == (0, spec.time_zone)
    assert history.lake.digest(spec.raw.name) == naive.lake.digest(spec.raw.name)


def walls_of(spec: SourceSpec, day: date) -> list[datetime]:
    """Return what the clock shows each half hour of a local day, once, and what it leaves out."""
    zone = ZoneInfo(spec.time_zone)
    shown = [at.astimezone(zone).replace(tzinfo=None) for at in sold(spec, day)]
    first = shown[0]
    return sorted({*shown, *(first + timedelta(minutes=30 * n) for n in range(48))})


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return when a clock shows a time: of an hour that it has twice the second, else what the offset before says."""
    folds = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    return min(folds, key=lambda at: at.utcoffset() or timedelta()).astimezone(UTC)


def told(walls: Iterable[datetime]) -> pa.Table:
    rows = lines(walls).to_pylist()
    return pa.Table.from_pylist([{**row, "ordered_at": f"{row['ordered_at']:%Y-%m-%d %H:%M:%S.%f}"} for row in rows])


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("zone", ["UTC", None], ids=["aware", "naive"])
def test_a_log_is_cut_into_the_nights_of_its_deliverer(tmp_path, clock, zone):
    spec, days = clock
    times = [at for day in days for at in sold(spec, day)]
    rows = lines(times)
    if zone is None:
        walls = [at.astimezone(ZoneInfo(spec.time_zone)).replace(tzinfo=None) for at in times]
        rows = rows.set_column(rows.column_names.index("ordered_at"), "ordered_at", pa.array(walls, pa.timestamp("us")))
    log = write(tmp_path / "log.parquet", rows)
    split = split_source(log, spec, file_format="canonical", nights=3, folder=tmp_path / "split")
    assert (split.first, split.history_end) == (str(days[0]), str(days[-4]))
    for day in days[-3:]:
        night = pq.read_table(next((tmp_path / "split").glob(f"arrivals/{day}/{spec.source}/dt={day}/*.parquet")))
        assert night["order_id"].to_pylist() == lines(sold(spec, day))["order_id"].to_pylist()


@pytest.mark.parametrize(
    ("name", "late"), [pytest.param("new_york", 0, marks=pytest.mark.thorough), ("berlin", 1), ("bar", 0)]
)
def test_a_night_is_built_from_what_is_there_and_healed_by_what_its_utc_day_still_gets(
    tmp_path, tmp_path_factory, name, late
):
    folder = tmp_path_factory.mktemp("orders") / "sources"
    folder.mkdir()
    orders = yaml.safe_load((CONFIG_ROOT / "sources" / "orders.yaml").read_text())
    (folder / "orders.yaml").write_text(yaml.safe_dump({**orders, **SOURCES[name]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(folder.parent))
        spec, deployment = load_source("orders"), lake_only(tmp_path)
        days = local_days("2026-01-05", "2026-01-07")
        for day in days[:2]:
            deliver(deployment, spec, day, lines(sold(spec, day)))
        night = str(days[1])
        build_features(deployment, "customer_daily", start=night, end=night)
        deliver(deployment, spec, days[2], lines(sold(spec, days[2])))
        build_features(deployment, "customer_daily", start=str(days[2]), end=str(days[2]))
        healed = heal_features(deployment, "customer_daily")

    assert (healed is not None and (healed.start, healed.end) == (night, night)) == bool(late)
    built = deployment.lake.read("features/customer_daily", start=night, end=night).to_pylist()
    at, ends = partitions.end_of(night), [opens(spec, day + timedelta(days=1)) for day in days]
    assert [row["created_timestamp"] for row in built] == [max(at, end) for end in ends[1 : 2 + late]]
    orders_known = [at for day in days for at in sold(spec, day) if at < partitions.end_of(night)]
    assert built[-1]["total_orders_30d"] == len(orders_known)
