"""A data file of the lake that isn't what was committed, on each of the lake's file systems."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from include.adapters.arrow_files import open_location
from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.span import Span
from include.errors import MlopsError
from include.settings import Settings
from tests.contracts.conftest import empty_lakes, on_each_lake

DAYS = ("2026-01-01", "2026-01-02")


lake_settings = empty_lakes(daily=["file"])


@pytest.fixture
def lake(lake_settings: Settings) -> LakeAdapter:
    return LakeAdapter.from_settings(lake_settings)


def rows(value: int, *days: str) -> pa.Table:
    at = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days for _ in range(500)]
    numbers = [value + number for _ in days for number in range(500)]
    names = [f"customer {number}" for number in numbers]
    return pa.table(
        {
            "name": names,
            "value": pa.array(numbers, pa.int64()),
            "at": pa.array(at, pa.timestamp("us", tz="UTC")),
            "dt": pa.array([moment.date() for moment in at], pa.date32()),
        }
    )


def place(lake: LakeAdapter, day: str) -> tuple[fs.FileSystem, str, str]:
    """Return where the file of a day is, and its path in the table."""
    options = lake.storage_options or None
    found = DeltaTable(lake.table_uri("raw/x"), storage_options=options).get_add_actions(flatten=True)
    paths = pa.table(found)["path"].to_pylist()
    (path,) = (path for path in paths if path.startswith(f"dt={day}"))
    filesystem, root = open_location(lake.table_uri("raw/x"), lake.s3_endpoint_url)
    return filesystem, f"{root}/{path}", path


def content(lake: LakeAdapter, day: str) -> bytes:
    filesystem, path, _ = place(lake, day)
    with filesystem.open_input_file(path) as stream:
        return stream.read()


def alter(lake: LakeAdapter, day: str, altered: bytes) -> str:
    filesystem, path, name = place(lake, day)
    with filesystem.open_output_stream(path) as stream:
        stream.write(altered)
    return name


def rewritten(whole: bytes) -> bytes:
    table = pq.read_table(io.BytesIO(whole))
    changed = table.set_column(1, "value", pa.array([7] * table.num_rows, pa.int64()))
    written = io.BytesIO()
    pq.write_table(changed, written)
    return written.getvalue()


ALTERATIONS: dict[str, Callable[[bytes], bytes]] = {
    "a byte of a page": lambda whole: whole[:60] + bytes([whole[60] ^ 255]) + whole[61:],
    "another table": rewritten,
    "truncated": lambda whole: whole[: len(whole) // 2],
    "empty": lambda _: b"",
    "zeros": lambda whole: whole[:40] + bytes(len(whole) - 80) + whole[-40:],
    "a byte too many": lambda whole: whole + b"\0",
}
READINGS: dict[str, Callable[[LakeAdapter], object]] = {
    "read": lambda lake: lake.read("raw/x", start=DAYS[0], end=DAYS[0]),
    "dataset": lambda lake: DuckDbCompute().run_select(
        "SELECT sum(value) FROM x", {"x": lake.dataset("raw/x")}, purpose="a sum"
    ),
    "span": lambda lake: lake.dataset("raw/x", within=Span("at", None, datetime(2026, 1, 1, 12, tzinfo=UTC))),
    "an older version": lambda lake: lake.read("raw/x", version=0),
    "change": lambda lake: lake.update("raw/x", [DAYS[0]], lambda present: present.slice(1)),
}


@on_each_lake
@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_file_is_named_and_the_others_are_read(lake, alteration):
    lake.replace("raw/x", rows(1, *DAYS), keys=DAYS)
    name = alter(lake, DAYS[0], ALTERATIONS[alteration](content(lake, DAYS[0])))
    with pytest.raises(MlopsError) as raised:
        lake.read("raw/x")
    told = str(raised.value)
    assert f"lake table raw/x: data file {name} has sha256" in told
    assert "backup" in told
    assert "\n" not in told
    assert lake.read("raw/x", keys=[DAYS[1]]).num_rows == 500


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("is_first", [True, False], ids=["in the first commit", "in a later one"])
def test_an_altered_file_is_noticed_however_it_is_read(lake, reading, is_first):
    lake.replace("raw/x", rows(1, *DAYS), keys=DAYS)
    if not is_first and reading != "an older version":
        lake.replace("raw/x", rows(2, DAYS[0]), keys=[DAYS[0]])
    alter(lake, DAYS[0], rewritten(content(lake, DAYS[0])))
    with pytest.raises(MlopsError, match="was changed"):
        READINGS[reading](lake)


@on_each_lake
def test_a_file_that_is_altered_after_it_was_read_is_noticed_at_the_next_read(lake):
    lake.replace("raw/x", rows(1, DAYS[0]), keys=[DAYS[0]])
    lake.read("raw/x")
    alter(lake, DAYS[0], rewritten(content(lake, DAYS[0])))
    with pytest.raises(MlopsError, match="was changed"):
        lake.read("raw/x")


def test_a_file_is_read_for_its_sha256_once(lake, monkeypatch):
    lake.replace("raw/x", rows(1, *DAYS), keys=DAYS)
    lake.read("raw/x")
    monkeypatch.setattr("include.adapters.lake.checked_files.TableFiles._sha256", lambda *_: pytest.fail("again"))
    assert lake.read("raw/x", keys=[DAYS[0]]).num_rows == 500


@pytest.fixture
def older(lake: LakeAdapter) -> LakeAdapter:
    """A lake whose table was written before files were named after their bytes."""
    write_deltalake(
        lake.table_uri("raw/x"), rows(1, *DAYS), partition_by=["dt"], storage_options=lake.storage_options or None
    )
    return lake


def test_an_older_file_is_read_and_said_to_be_one_once(older, caplog):
    with caplog.at_level(logging.WARNING):
        assert older.read("raw/x").num_rows == 1000
        assert older.read("raw/x").num_rows == 1000
    assert [record.getMessage() for record in caplog.records if "files_without_sha256=2" in record.getMessage()]
    assert len(caplog.records) == 1


def test_an_older_table_gets_named_files_from_the_next_write(older):
    older.replace("raw/x", rows(3, DAYS[0]), keys=[DAYS[0]])
    assert sorted(set(older.read("raw/x")["value"].to_pylist())) == list(range(1, 503))
    alter(older, DAYS[0], rewritten(content(older, DAYS[0])))
    with pytest.raises(MlopsError, match="was changed"):
        older.read("raw/x")


@pytest.mark.parametrize("reading", [name for name in READINGS if name != "span"])
@pytest.mark.parametrize("alteration", ["truncated", "empty", "zeros"])
def test_damage_to_an_older_file_is_one_message(older, reading, alteration):
    name = alter(older, DAYS[0], ALTERATIONS[alteration](content(older, DAYS[0])))
    with pytest.raises(MlopsError) as raised:
        READINGS[reading](older)
    told = str(raised.value)
    assert f"lake table raw/x: data file {name} can't be read" in told
    assert "backup" in told
    assert "\n" not in told


def test_a_column_comes_and_a_type_fits(lake):
    lake.replace("raw/x", rows(1, *DAYS), keys=DAYS)
    small = rows(2, DAYS[0]).select(["at", "dt", "value"])
    small = small.set_column(2, "value", small["value"].cast(pa.int32()))
    lake.replace("raw/x", small.append_column("more", pa.array([0.5] * 500)), keys=[DAYS[0]])
    found = lake.read("raw/x")
    assert found.schema.names == ["name", "value", "at", "dt", "more"]
    assert found.schema.field("value").type == pa.int64()
    new = lake.read("raw/x", keys=[DAYS[0]])
    assert (set(new["name"].to_pylist()), set(new["more"].to_pylist())) == ({None}, {0.5})
    assert set(lake.read("raw/x", keys=[DAYS[1]])["more"].to_pylist()) == {None}
    assert found["dt"].to_pylist().count(date(2026, 1, 1)) == 500


def test_a_value_that_its_column_can_not_hold_is_refused(lake):
    lake.replace("raw/x", rows(1, DAYS[0]), keys=[DAYS[0]])
    wrong = rows(1, DAYS[0])
    wrong = wrong.set_column(1, "value", pa.array([0.5] * 500))
    with pytest.raises(MlopsError, match=r"raw/x.*value"):
        lake.replace("raw/x", wrong, keys=[DAYS[0]])
    assert lake.version("raw/x") == 0
