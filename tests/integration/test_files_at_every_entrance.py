"""One reader of files: what is wrong with a file is told alike at every command that takes one, and nothing is written.

An entrance is a command that reads a CSV or a parquet file that a person names; a new one joins by a line in
`ENTRANCES`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from include.cli.main import cli
from include.errors import UnreadableInputError, UsageError
from tests.everyday import members

NOON = datetime(2024, 1, 10, 12, tzinfo=UTC)
ROWS = 400
# One file that each of the entrances can take.
COLUMNS = {
    "order_id": [f"o{n * 7919}" for n in range(ROWS)],
    "line": [1] * ROWS,
    "customer_id": [f"{n % 90:03}" for n in range(ROWS)],
    "ordered_at": [NOON - timedelta(hours=n) for n in range(ROWS)],
    "product_id": ["a, b"] * ROWS,
    "category": ["NA"] * ROWS,
    "quantity": [1 + n % 7 for n in range(ROWS)],
    "unit_price": [n % 50 + 0.5 for n in range(ROWS)],
    "country": ["Österreich"] * ROWS,
    "event_timestamp": [NOON - timedelta(hours=n) for n in range(ROWS)],
    "created_timestamp": [NOON - timedelta(hours=n) for n in range(ROWS)],
    "remark": [f'no. {n}: "fine"' for n in range(ROWS)],
}
WHOLE = pa.table(COLUMNS)
KEY = "customer_id"
Entrance = Callable[[Path], Result]


def mlops(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False)


def imported(path: Path) -> Result:
    return mlops("orders", "import", path, "--format", "canonical")


def joined_to(path: Path) -> Result:
    columns = {
        KEY: KEY,
        "event_timestamp": "event_timestamp",
        "created_timestamp": "created_timestamp",
        "line": "feature",
    }
    stored = write(path.parent / "stored.parquet", WHOLE.select(list(columns)).rename_columns(columns))
    out = path.parent / "out.csv"
    return mlops("features", "join", "--entities", path, "--features", stored, "--key", KEY, "--out", out)


def joined_from(path: Path) -> Result:
    asked = write(path.parent / "asked.parquet", WHOLE.select([KEY, "event_timestamp"]))
    out = path.parent / "out.csv"
    return mlops("features", "join", "--entities", asked, "--features", path, "--key", KEY, "--out", out)


def compared(path: Path) -> Result:
    return mlops("drift", "report", "--reference", path, "--current", path, "--json")


def compared_with(path: Path) -> Result:
    reference = write(path.parent / "reference.parquet", WHOLE)
    return mlops("drift", "report", "--reference", reference, "--current", path, "--json")


ENTRANCES: dict[str, Entrance] = {
    "orders import": imported,
    "join --entities": joined_to,
    "join --features": joined_from,
    "drift --reference": compared,
    "drift --current": compared_with,
}
every_entrance = pytest.mark.parametrize("entrance", ENTRANCES.values(), ids=list(ENTRANCES))
every_reading_of_times = pytest.mark.parametrize("entrance", [imported, joined_to, joined_from])
every_kind = pytest.mark.parametrize("kind", ["csv", "parquet"])


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLOPS_LAKE_URI", (tmp_path / "home" / "lake").as_uri())


def write(path: Path, rows: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pacsv.write_csv(rows, path)
    else:
        pq.write_table(rows, path)
    return path


def as_csv(rows: pa.Table = WHOLE) -> bytes:
    sink = pa.BufferOutputStream()
    pacsv.write_csv(rows, sink)
    return bytes(sink.getvalue())


def assert_refused(entrance: Entrance, path: Path, *words: str) -> None:
    with pytest.raises(UnreadableInputError) as caught:
        entrance(path)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    for word in (path.name, *words):
        assert word in message
    assert len(message.splitlines()) == 1
    assert not (path.parent / "out.csv").exists()
    assert not Path(os.environ["MLOPS_HOME"]).exists()


@every_entrance
@every_kind
def test_a_whole_file_is_taken(tmp_path, entrance, kind):
    assert entrance(write(tmp_path / f"rows.{kind}", WHOLE)).exit_code == 0


@every_entrance
def test_an_absent_file_names_the_one_that_was_meant(tmp_path, entrance):
    write(tmp_path / "rows.parquet", WHOLE)
    assert_refused(entrance, tmp_path / "row.parquet", "no such file", "did you mean 'rows.parquet'?")


@every_entrance
def test_a_folder_is_no_file(tmp_path, entrance):
    (tmp_path / "rows.parquet").mkdir()
    assert_refused(entrance, tmp_path / "rows.parquet", "is not a file")


@every_entrance
@pytest.mark.parametrize("name", ["rows.xlsx", "rows", "rows.gz"])
def test_another_extension_is_told_the_ones_that_are_known(tmp_path, entrance, name):
    (tmp_path / name).write_bytes(as_csv())
    assert_refused(entrance, tmp_path / name, "extension", "allowed: .parquet, .csv")


@every_entrance
@every_kind
def test_a_file_without_bytes_is_empty(tmp_path, entrance, kind):
    (tmp_path / f"rows.{kind}").touch()
    assert_refused(entrance, tmp_path / f"rows.{kind}", "is empty (0 bytes)")


@every_entrance
@every_kind
def test_a_column_that_is_there_twice_is_named(tmp_path, entrance, kind):
    twice = WHOLE.append_column("order_id", WHOLE["order_id"])
    assert_refused(entrance, write(tmp_path / f"rows.{kind}", twice), "column 'order_id' is there twice")


@every_reading_of_times
@every_kind
def test_a_column_that_is_missing_is_named_with_those_that_are_there_and_the_nearest(tmp_path, entrance, kind):
    renamed = WHOLE.rename_columns(["customer" if name == KEY else name for name in WHOLE.column_names])
    path = write(tmp_path / f"rows.{kind}", renamed)
    told = f"{path.name} has no column '{KEY}'; it has order_id, line, customer, "
    assert_refused(entrance, path, told, "did you mean 'customer'?")


@every_kind
def test_a_column_that_is_asked_for_and_that_the_reference_lacks_is_named_too(tmp_path, kind):
    path, whole = write(tmp_path / f"rows.{kind}", WHOLE.drop(["quantity"])), write(tmp_path / "whole.parquet", WHOLE)
    pair = ("--reference", path, "--current", whole)
    assert_refused(
        lambda _: mlops("drift", "report", *pair, "--columns", "unit_price,quantity"),
        path,
        f"{path.name} has no column 'quantity'; it has order_id, ",
    )


@every_entrance
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_a_parquet_file_that_is_cut_off_is_truncated(tmp_path, entrance, share):
    path = write(tmp_path / "rows.parquet", WHOLE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert_refused(entrance, path, "can't be read as parquet", "truncated")


@every_entrance
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_a_parquet_file_with_damaged_pages_is_damaged_in_every_compression(tmp_path, entrance, compression):
    path = tmp_path / "rows.parquet"
    pq.write_table(WHOLE, path, compression=compression, use_dictionary=False)
    content = bytearray(path.read_bytes())
    offset = pq.read_metadata(path).row_group(0).column(2).data_page_offset
    content[offset + 40 : offset + 400] = bytes(360)
    path.write_bytes(content)
    assert_refused(entrance, path, "can't be read as parquet", "damaged")


@every_entrance
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_another_format_is_none_of_its_extension(tmp_path, entrance, kind):
    (tmp_path / f"rows.{kind}").write_bytes(b"PK\x03\x04" + bytes(range(256)) * 8)
    told = "a spreadsheet or a zip archive" if kind == "csv" else "can't be read as parquet"
    assert_refused(entrance, tmp_path / f"rows.{kind}", told)


@every_entrance
@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(b'"a, b', id="in a row"),
        pytest.param(b'fine""', id="in the last value"),
        pytest.param(b'"no. 399: ""fine""', id="before the last quote"),
    ],
)
@pytest.mark.parametrize("end", [b"", b"\n"], ids=["", "and a line's end after it"])
def test_a_csv_that_stops_in_a_quoted_value_is_truncated(tmp_path, entrance, cut, end):
    content = as_csv()
    (tmp_path / "rows.csv").write_bytes(content[: content.rindex(cut) + len(cut)] + end)
    assert_refused(entrance, tmp_path / "rows.csv", "truncated")


@every_entrance
def test_a_quote_that_nothing_closes_does_not_swallow_the_rows_after_it(tmp_path, entrance):
    lines = as_csv().splitlines(keepends=True)
    lines[200] = lines[200].rpartition(b',"')[0] + b',"open\n'
    (tmp_path / "rows.csv").write_bytes(b"".join(lines))
    assert_refused(entrance, tmp_path / "rows.csv")


@every_entrance
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""], ids=["lf", "crlf", "none"])
def test_a_quote_within_a_value_that_is_not_quoted_is_told_with_its_row(tmp_path, entrance, end):
    bare = WHOLE.drop(["remark", "product_id"])
    header, *rows = as_csv(bare).splitlines()
    lines = [header + b",remark,product_id", *(row + b',,5" pipe' for row in rows)]
    (tmp_path / "rows.csv").write_bytes((end or b"\n").join(lines[:200]) + end)
    assert_refused(entrance, tmp_path / "rows.csv", "data row 1 (line 2): a quote within a value", "into quotes")


@every_entrance
@pytest.mark.parametrize("where", ["value", "last value", "header"])
def test_text_that_is_not_utf8_is_told_the_encoding_that_is_wanted(tmp_path, entrance, where):
    latin = as_csv(WHOLE.drop(["country"])).replace(b'"remark"', '"Bemerkung für uns"'.encode())
    content = {
        "value": latin.replace(b"no. 3:", "für 3:".encode("latin-1")),
        "last value": latin.replace(b"no. 399:", "für 399:".encode("latin-1")),
        "header": latin.replace("für".encode(), "für".encode("latin-1")),
    }[where]
    with_country = b"".join(
        line.rstrip(b"\n") + (b',"country"\n' if n == 0 else b',"AT"\n')
        for n, line in enumerate(content.splitlines(keepends=True))
    )
    (tmp_path / "rows.csv").write_bytes(with_country)
    assert_refused(entrance, tmp_path / "rows.csv", "a byte that is not utf-8", "latin-1")


@every_entrance
def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, entrance):
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbf" + as_csv(WHOLE.select([KEY, *sorted(set(COLUMNS) - {KEY})])))
    assert entrance(tmp_path / "rows.csv").exit_code == 0


@every_entrance
@every_kind
@pytest.mark.parametrize(
    "folder", members(["dt=2024-01-10", "quantity=7", "a b", "100%"], daily=["dt=2024-01-10", "quantity=7"])
)
def test_a_folders_name_adds_no_column(tmp_path, entrance, kind, folder):
    plain = entrance(write(tmp_path / f"rows.{kind}", WHOLE)).stdout
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    found = entrance(write(tmp_path / folder / f"rows.{kind}", WHOLE)).stdout
    assert found.partition(" in /")[0] == plain.partition(" in /")[0]


@every_reading_of_times
def test_times_of_which_some_name_a_zone_and_some_do_not_are_refused(tmp_path, entrance):
    zoned, content = b"2024-01-10 11:00:00.000000Z", as_csv()
    assert content.count(zoned) == 3
    (tmp_path / "rows.csv").write_bytes(content.replace(zoned, zoned[:-1]))
    with pytest.raises(UsageError, match=r"rows\.csv: column .*(ordered_at|event_timestamp).* with a zone "):
        entrance(tmp_path / "rows.csv")
