"""What is too old goes, by the list of tables; what a training set that is kept needs stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from include import tables
from include.adapters.lake.history import changed_partitions
from include.adapters.lake.partition_reports import list_reports, write_report
from include.adapters.lake.row_digest import digest
from include.adapters.lake.training_sets import write_training_set
from include.errors import UsageError
from include.features.partition_report import PartitionReport
from include.specs.groups import load_feature_groups
from include.specs.lake_tables import list_tables
from include.specs.models import model_ids
from include.steps.expire_history import expire_history, list_pins
from include.tables import OF_NOBODY, TableSpec
from tests.deployments import lake_only
from tests.raw_orders import add_tables
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

TODAY = date(2026, 6, 30)
VISITS = TableSpec(
    name="raw/visits", row="one visit", schema={"visit_id": "string", "dt": "date"}, key=("visit_id",),
    whose=OF_NOBODY, kept_days=7, is_log=True,
)  # fmt: skip
AGED = [table for table in (*list_tables(), VISITS) if table.kept_days is not None]
KEPT_DAYS = tables.quality_reports_folder("customer_daily").kept_days or 0


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    add_tables(monkeypatch, VISITS)
    made = lake_only(tmp_path)
    made.model_registry = SimpleNamespace(find=lambda *_, **__: None)
    made.state.ledger = lambda _: ()
    return made


def write_days(deployment: Any, table: TableSpec, days: list[str]) -> None:
    """Write two rows a day."""
    column = next(name for name, word in table.schema.items() if word == "string")
    rows = [{column: f"{day} {n}", "dt": date.fromisoformat(day)} for day in days for n in (1, 2)]
    deployment.lake.replace(table.name, pa.Table.from_pylist(rows, schema=table.arrow_schema()), keys=days)


def write_set(deployment: Any, *, as_of: str, first_snapshot: str) -> None:
    manifest = replace(make_manifest(make_spec(), make_examples()), sources={})
    examples = make_examples()
    manifest = replace(manifest, as_of=as_of, first_snapshot=first_snapshot, rows_sha256=digest(examples))
    write_training_set(deployment.lake, manifest, examples)


def write_reports(deployment: Any, days: list[str], group: str = "customer_daily") -> None:
    for day in days:
        write_report(deployment.lake, PartitionReport(group, day, day, 1, ()))


def test_there_are_tables_that_age_and_data_is_not_among_them():
    assert {table.name for table in AGED} == {"raw/visits"} | {f"online_vectors/{model_id}" for model_id in model_ids()}


@pytest.mark.parametrize("table", AGED, ids=lambda table: table.name)
def test_a_day_goes_when_it_is_as_old_as_its_table_says(deployment, table):
    kept = [ago(table.kept_days - 1), ago(0)]
    write_days(deployment, table, [ago(table.kept_days + 30), ago(table.kept_days), *kept])
    assert expire_history(deployment, as_of=TODAY.isoformat()).rows[table.name] == 4
    assert deployment.lake.partitions(table.name) == kept
    assert deployment.lake.read(table.name).num_rows == 4
    again = expire_history(deployment, as_of=TODAY.isoformat())
    assert set(again.rows.values()) == {0}
    assert deployment.lake.version(table.name) == 1


def test_a_day_before_which_the_calendar_has_none_is_refused(deployment):
    write_days(deployment, VISITS, [ago(1)])
    with pytest.raises(UsageError, match="0001-01-01 and -7 days is no day of the calendar"):
        expire_history(deployment, as_of="0001-01-01")


def test_rows_that_were_removed_can_be_read_until_replaced_rows_go(deployment):
    write_days(deployment, VISITS, [ago(100)])
    expire_history(deployment, as_of=TODAY.isoformat())
    assert deployment.lake.read(VISITS.name, version=0).num_rows == 2
    assert changed_partitions(deployment.lake, VISITS.name, since=0, until=1) == [ago(100)]
    deployment.settings = SimpleNamespace(retention_days=0)
    assert expire_history(deployment, as_of=TODAY.isoformat()).files[VISITS.name] == 1


@pytest.mark.parametrize(
    "table", [table for table in list_tables() if table.kept_days is None], ids=lambda table: table.name
)
def test_what_is_kept_for_good_stays_however_old_it_is(deployment, table):
    day = date.fromisoformat(ago(10_000))
    row = {"dt": day, "known_on": day, "source": "f", "month": ago(10_000)[:7]}
    keys = [str(row[table.partition_by])]
    rows = pa.Table.from_pylist([{n: row.get(n) for n in table.schema}], schema=table.arrow_schema())
    deployment.lake.replace(table.name, rows, keys=keys, partition_by=table.partition_by)
    assert expire_history(deployment, as_of=TODAY.isoformat()).rows[table.name] == 0
    assert deployment.lake.read(table.name).num_rows == 1


@pytest.mark.parametrize("group", [spec.group for spec in load_feature_groups()])
def test_a_report_goes_when_it_is_as_old_as_its_folder_says(deployment, group):
    kept = [ago(KEPT_DAYS - 1), ago(0)]
    write_reports(deployment, [ago(KEPT_DAYS + 30), ago(KEPT_DAYS), *kept], group)
    assert expire_history(deployment, as_of=TODAY.isoformat()).reports[group] == 2
    assert list_reports(deployment.lake, group) == kept
    assert set(expire_history(deployment, as_of=TODAY.isoformat()).reports.values()) == {0}


def test_reports_of_the_days_that_a_kept_training_set_looks_at_stay_as_long_as_it_does(deployment):
    since, before = ago(KEPT_DAYS + 50), ago(KEPT_DAYS + 51)
    write_reports(deployment, [before, since])
    write_set(deployment, as_of=ago(10), first_snapshot=since)
    assert [pin.since.isoformat() for pin in list_pins(deployment)] == [since]
    assert expire_history(deployment, as_of=TODAY.isoformat()).reports["customer_daily"] == 1
    assert list_reports(deployment.lake, "customer_daily") == [since]
    gone = (TODAY + timedelta(days=deployment.settings.retention_days)).isoformat()
    assert expire_history(deployment, as_of=gone).reports["customer_daily"] == 1


def test_a_file_that_is_no_report_of_a_day_stays(deployment):
    write_reports(deployment, [ago(KEPT_DAYS + 1)])
    folder = Path(deployment.lake.table_uri(tables.quality_reports_name("customer_daily")).removeprefix("file://"))
    (folder / "notes.json").write_text("{}")
    (folder / "2020-01-01.txt").write_text("")
    assert expire_history(deployment, as_of=TODAY.isoformat()).reports["customer_daily"] == 1
    assert sorted(path.name for path in folder.iterdir()) == ["2020-01-01.txt", "notes.json"]
