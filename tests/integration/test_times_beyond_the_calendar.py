"""Times that files can write and a calendar can't count: the row is set aside, the others are taken, nothing breaks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.deployment import Deployment
from include.settings import Settings
from include.steps.account_source import ImportAccount
from include.steps.import_source import import_file
from tests.everyday import members

# A source that has no rule of its own on when something may have happened.
VISITS = """
source: visits
description: Visits of a page.
owner: web
key: [visit]
event_time: at
time_zone: Pacific/Auckland
people: {person: null}
columns:
  - {name: visit, type: id, meaning: the visit}
  - {name: at, type: timestamp, meaning: when}
  - {name: received_at, type: timestamp, required: false, meaning: when we knew}
  - {name: until, type: timestamp, required: false, meaning: when it is over}
rules:
  - {name: visit_missing, kind: not_null, column: visit, reason: no visit}
  - {name: at_missing, kind: not_null, column: at, reason: no time}
"""
WRITTEN = [
    "0000-01-01", "0000-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31", "9999-12-31T23:59:59.999999Z",
]  # fmt: skip
MICROSECONDS = [-(2**63) + 1, 2**63 - 1, 253_402_300_800_000_000, -62_135_596_800_000_001, -62_198_755_200_000_000]


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    (tmp_path / "specs" / "sources").mkdir(parents=True)
    (tmp_path / "specs" / "sources" / "visits.yaml").write_text(VISITS)
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "specs"))
    return Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / "home")}))


def take(deployment: Deployment, path: Path, source: str, **options: object) -> ImportAccount:
    as_of = datetime(2026, 4, 1, tzinfo=UTC)
    return import_file(deployment, path, source=source, as_of=as_of, cross_check=True, **options)  # type: ignore[arg-type]


def assert_set_aside(deployment: Deployment, path: Path) -> None:
    for _ in range(2):
        account = take(deployment, path, "visits")
        assert (account.rows_in, account.rows_published, account.rules["not_finite"]) == (2, 1, 1)
        assert deployment.lake.partitions("raw/visits") == ["2026-02-28"]
        [aside] = deployment.lake.read("quarantine/visits").to_pylist()
        assert (aside["row_number"], aside["rule"], aside["dt"]) == (1, "not_finite", None)


@pytest.mark.parametrize("time", members(WRITTEN, daily=[WRITTEN[0], WRITTEN[-1]]))
def test_a_written_time_that_no_calendar_has_is_set_aside(deployment: Deployment, tmp_path: Path, time: str) -> None:
    path = tmp_path / "visits.csv"
    path.write_text(f"visit,at\na,{time}\nb,2026-02-28T20:00:00{time[19:][-1:]}\n")
    assert_set_aside(deployment, path)


@pytest.mark.parametrize("time", members(WRITTEN, daily=[WRITTEN[0], WRITTEN[-1]]))
def test_a_row_that_was_received_at_no_calendars_time_is_set_aside(
    deployment: Deployment, tmp_path: Path, time: str
) -> None:
    path = tmp_path / "visits.csv"
    path.write_text(f"visit,at,received_at\na,2026-02-28,{time}\n")
    assert take(deployment, path, "visits").rules["not_finite"] == 1


@pytest.mark.parametrize("microseconds", members(MICROSECONDS, daily=MICROSECONDS[1:4:2]))
def test_a_counted_time_that_no_calendar_has_is_set_aside(
    deployment: Deployment, tmp_path: Path, microseconds: int
) -> None:
    at = pa.array(
        [microseconds, int(datetime(2026, 2, 28, tzinfo=UTC).timestamp()) * 1_000_000], pa.timestamp("us", "UTC")
    )
    path = tmp_path / "visits.parquet"
    pq.write_table(pa.table({"visit": ["a", "b"], "at": at}), path)
    assert_set_aside(deployment, path)


def test_a_time_that_is_no_events_may_be_the_last_that_there_is(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "visits.csv"
    path.write_text("visit,at,until\na,2026-02-28,9999-12-31\n")
    assert take(deployment, path, "visits").rows_published == 1


@pytest.mark.parametrize("time", members(WRITTEN, daily=[WRITTEN[0], WRITTEN[-1]]))
def test_what_an_order_of_no_calendars_time_broke_can_be_read(
    deployment: Deployment, tmp_path: Path, time: str
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(f"order_id,line,customer_id,ordered_at,quantity,unit_price\na,1,c,{time},1,1\n")
    for _ in range(2):
        assert take(deployment, path, "orders").rows_quarantined == 1
        [aside] = deployment.lake.read("quarantine/orders").to_pylist()
        assert aside["rule"] in ("ordered_at_too_early", "ordered_at_after_as_of")
