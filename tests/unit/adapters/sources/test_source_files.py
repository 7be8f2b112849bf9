# Files hold local times without a zone.
# ruff: noqa: DTZ001
from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.compute.duckdb_session import open_session
from include.adapters.sources import source_files
from include.adapters.sources.source_files import SourceFile, local_file, open_source, read_source
from include.errors import MlopsError, UnreadableInputError
from include.quality.formats import Family, FileColumn
from include.specs.dialect import Dialect

COLUMNS = (
    FileColumn("order_id", Family.TEXT, required=True),
    FileColumn("ordered_at", Family.TIME, required=True),
    FileColumn("quantity", Family.WHOLE, required=True),
    FileColumn("unit_price", Family.NUMBER, required=True),
    FileColumn("kind", Family.TEXT, required=False),
)
HEADER = "order_id,ordered_at,quantity,unit_price\n"
SOUND = {"order_id": ["1"], "ordered_at": [datetime(2026, 3, 1)], "quantity": [2], "unit_price": [2.5]}


def _parquet(folder: Path, **changes: object) -> Path:
    path = folder / "orders.parquet"
    pq.write_table(pa.table({k: v for k, v in (SOUND | changes).items() if v is not None}), path)
    return path


def _csv(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "orders.csv"
    path.write_text(header + "".join(lines), encoding="utf-8")
    return path


def _read(path: Path, **options: object) -> pa.Table:
    return read_source(local_file(path), COLUMNS, **options)


def _open(path: Path, **options: object) -> SourceFile:
    folder = path.parent / f"kept-{len(list(path.parent.iterdir()))}"
    folder.mkdir()
    return open_source(local_file(path), COLUMNS, folder=folder, **options)


def _refused(path: Path, *parts: str) -> None:
    with pytest.raises(UnreadableInputError) as caught:
        _read(path)
    assert caught.value.exit_code == 2
    for part in (path.name, *parts):
        assert part in str(caught.value)


def test_absent_file_names_the_one_meant(tmp_path):
    _parquet(tmp_path)
    _refused(tmp_path / "order.parquet", "no such file", "did you mean 'orders.parquet'")


def test_folder_is_no_file(tmp_path):
    (tmp_path / "orders.parquet").mkdir()
    _refused(tmp_path / "orders.parquet", "is not a file")


def test_unknown_extension_names_the_allowed_ones(tmp_path):
    path = tmp_path / "orders.xlsx"
    path.write_bytes(b"PK")
    _refused(path, "'.xlsx'", "allowed: .parquet, .csv")


@pytest.mark.parametrize("name", ["orders.parquet", "orders.csv"])
def test_file_without_bytes_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    _refused(tmp_path / name, "empty (0 bytes)")


def test_file_without_rows_is_refused_unless_it_may_be_empty(tmp_path):
    for path in (_csv(tmp_path), _parquet(tmp_path, **{k: pa.array(v)[:0] for k, v in SOUND.items()})):
        _refused(path, "no rows")
        assert _read(path, may_be_empty=True).num_rows == 0


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_parquet_is_refused(tmp_path, share):
    path = _parquet(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    _refused(path, "truncated", "deliver it again")


def test_parquet_with_damaged_pages_is_refused(tmp_path):
    path = tmp_path / "orders.parquet"
    many = {k: v * 5000 for k, v in SOUND.items()} | {"order_id": [str(i * 7919) for i in range(5000)]}
    pq.write_table(pa.table(many), path)
    whole = bytearray(path.read_bytes())
    whole[4:3000] = bytes(2996)
    path.write_bytes(bytes(whole))
    _refused(path)


@pytest.mark.parametrize(
    "content",
    [
        (HEADER + "1,2026-03-01 10:00:00,2,2.5\n2,2026-03-01 1").encode(),
        (HEADER + '1,2026-03-01 10:00:00,2,2.5\n"2').encode(),
        (HEADER + '1,2026-03-01 10:00:00,2,2.5\n2,2026-03-01 10:00:00,2,"2.').encode(),
        HEADER.encode() + b"\xff\xfe,2026-03-01 10:00:00,2,2.5\n",
        bytes(range(256)) * 8,
    ],
    ids=["in-a-row", "in-quotes", "in-the-last-quotes", "not-utf8", "garbage"],
)
def test_truncated_or_garbage_csv_is_refused(tmp_path, content):
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    _refused(path)


def test_missing_columns_are_all_named_with_the_nearest_that_is_there(tmp_path):
    path = _parquet(tmp_path, order_id=None, unit_price=None, unitprice=[2.5])
    _refused(
        path, "has no columns 'order_id', 'unit_price'; it has ordered_at, quantity, unitprice", "mean 'unitprice'"
    )


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_column_that_is_there_twice_is_refused(tmp_path, extension):
    path = tmp_path / f"orders{extension}"
    if extension == ".csv":
        path.write_text("order_id,order_id\n1,2\n")
    else:
        pq.write_table(pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"])], names=["order_id", "order_id"]), path)
    _refused(path, "'order_id'", "twice")


def test_column_that_differs_from_a_known_one_by_case_only_is_refused(tmp_path):
    _refused(_parquet(tmp_path, Quantity=[2]), "'quantity'", "twice")


def test_what_was_meant_is_no_column_that_is_there_already(tmp_path):
    path = _csv(tmp_path, "1,2\n", header="order_id,quantity\n")
    with pytest.raises(UnreadableInputError) as caught:
        read_source(local_file(path), [*COLUMNS, FileColumn("ref_order_id", Family.TEXT, required=True)])
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"quantity": ["2"]}, ["column quantity is string", "wanted: whole numbers"]),
        ({"quantity": [2.5]}, ["column quantity is double with the value 2.5"]),
        ({"quantity": [2.0**60]}, ["column quantity is double with the value"]),
        ({"unit_price": ["2.5"]}, ["column unit_price is string", "wanted: numbers"]),
        ({"unit_price": [True]}, ["column unit_price is bool"]),
        ({"ordered_at": ["March"]}, ["column ordered_at is string with the value 'March'", "wanted: times"]),
        ({"ordered_at": [20260301]}, ["column ordered_at is int64"]),
        ({"order_id": [datetime(2026, 3, 1)]}, ["column order_id is timestamp", "wanted: text"]),
        ({"order_id": [1.5]}, ["column order_id is double with the value 1.5"]),
    ],
)
def test_wrong_type_names_column_found_and_wanted(tmp_path, changes, parts):
    _refused(_parquet(tmp_path, **changes), *parts)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("1,2026-03-01 10:00:00,two,2.5\n", ["column quantity", "'two'"]),
        ("1,2026-03-01 10:00:00,2,NIL\n", ["column unit_price", "'NIL'", "data row 1"]),
        ("1,12/1/2010 8:26,2,2.5\n", ["column ordered_at", "'12/1/2010 8:26'"]),
        (
            "1,2026-03-01 10:00:00,2,2.5\n2,2026-03-01T10:00:00Z,2,2.5\n",
            ["column ordered_at", "in every row or in none"],
        ),
    ],
    ids=["word", "no-null-word", "us-time", "mixed-zones"],
)
def test_csv_cell_that_does_not_parse_is_named(tmp_path, line, parts):
    _refused(_csv(tmp_path, line), *parts)


def test_csv_and_parquet_of_the_same_rows_are_read_alike(tmp_path):
    parquet = _read(_parquet(tmp_path))
    assert _read(_csv(tmp_path, "1,2026-03-01 00:00:00,2,2.5\n")).equals(parquet)
    assert parquet.schema.types == [pa.string(), pa.timestamp("us"), pa.int64(), pa.float64()]


@pytest.mark.parametrize("text", ["2026-03-01T10:00:00+02:00", "2026-03-01 08:00:00Z", "2026-03-01T08:00Z"])
def test_csv_time_with_a_zone_is_the_instant_it_says(tmp_path, text):
    assert _read(_csv(tmp_path, f"1,{text},2,2.5\n"))["ordered_at"][0].as_py() == datetime(2026, 3, 1, 8, tzinfo=UTC)


def test_csv_country_na_is_text_and_an_empty_cell_is_null(tmp_path):
    rows = _read(_csv(tmp_path, "1,2026-03-01,2,2.5,NA\n", ",2026-03-01,,nan,\n", header=HEADER[:-1] + ",kind\n"))
    assert rows["kind"].to_pylist() == ["NA", None]
    assert rows["order_id"].to_pylist() == ["1", None]
    assert rows["quantity"].to_pylist() == [2, None]
    assert rows["unit_price"].to_pylist() == [2.5, None]


def test_whole_floats_of_a_column_with_gaps_become_whole_numbers_and_keys_lose_their_point(tmp_path):
    gaps = pa.array([17850.0, None, float("nan")])
    times = [datetime(2026, 3, 1)] * 3
    rows = _read(_parquet(tmp_path, order_id=gaps, ordered_at=times, quantity=gaps, unit_price=[1.0] * 3))
    assert rows["order_id"].to_pylist() == ["17850", None, None]
    assert rows["quantity"].to_pylist() == [17850, None, None]


def test_infinite_number_is_left_for_the_contract(tmp_path):
    rows = _read(_parquet(tmp_path, quantity=[float("inf")], unit_price=[float("-inf")]))
    assert (rows["quantity"].to_pylist(), rows["unit_price"].to_pylist()) == ([float("inf")], [float("-inf")])


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": pa.array(["1"]).dictionary_encode()},
        {"order_id": pa.array(["1"], pa.large_string())},
        {"order_id": [1]},
        {"quantity": pa.array([2], pa.uint8())},
        {"unit_price": [Decimal("2.50")]},
        {"ordered_at": [date(2026, 3, 1)]},
        {"ordered_at": pa.array([datetime(2026, 3, 1)], pa.timestamp("ns"))},
        {"ordered_at": pa.array([datetime(2026, 3, 1)], pa.timestamp("ms"))},
    ],
    ids=["dictionary", "large-string", "whole-key", "uint8", "decimal", "date", "nanoseconds", "milliseconds"],
)
def test_types_that_mean_the_same_are_read_alike(tmp_path, changes):
    assert _read(_parquet(tmp_path, **changes)).equals(_read(_parquet(tmp_path)))


def test_column_of_nulls_without_a_type_is_taken(tmp_path):
    rows = _read(
        _parquet(tmp_path, order_id=pa.nulls(1), ordered_at=pa.nulls(1), quantity=pa.nulls(1), kind=pa.nulls(1))
    )
    assert [rows[name][0].as_py() for name in ("order_id", "ordered_at", "quantity", "kind")] == [None] * 4


def test_source_is_name_and_content_wherever_the_file_is(tmp_path):
    (tmp_path / "other").mkdir()
    one, two = _csv(tmp_path, "1,2026-03-01,2,2.5\n"), _csv(tmp_path / "other", "1,2026-03-01,2,2.5\n")
    assert _open(one).source == _open(two).source
    two.write_text(HEADER + "1,2026-03-01,3,2.5\n")
    assert _open(one).source != _open(two).source


def test_source_holds_no_quote_that_would_end_a_predicate(tmp_path):
    path = tmp_path / "o'brien, ä.csv"
    path.write_text(HEADER)
    assert _open(path, may_be_empty=True).source.startswith("o_brien___.csv#")


@pytest.mark.parametrize("far", [datetime(9999, 12, 31), datetime(1, 1, 1), datetime(1600, 2, 29, 10)])
def test_a_time_of_int96_is_that_time(tmp_path, far):
    path = tmp_path / "orders.parquet"
    rows = pa.table(SOUND | {"ordered_at": pa.array([far], pa.timestamp("us"))})
    pq.write_table(rows, path, use_deprecated_int96_timestamps=True)
    assert _read(path)["ordered_at"].to_pylist() == [far]


RARE = {
    "": pa.array(["unnamed"]),
    " ": pa.array(["blank"]),
    "_row": pa.array([7]),
    "note": pa.array(["a"]),
    "NOTE": pa.array(["b"]),
    "times": pa.array([[datetime(9999, 1, 1)]], pa.list_(pa.timestamp("us"))),
    "struct": pa.array([{"a": Decimal("1.5")}], pa.struct([("a", pa.decimal256(60, 1))])),
    "far": pa.array([2**60], pa.timestamp("us")),
    "nothing": pa.nulls(1),
    "kept in a dictionary": pa.array(["x"]).dictionary_encode(),
    "large": pa.array(["x"], pa.large_string()),
    "lasts": pa.array([5], pa.duration("us")),
    "bytes": pa.array([b"\xff"]),
    "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
    "empty.struct": pa.array([{"": 1}]),
    "half": pa.array([1.5], pa.float16()),
}


def test_columns_that_nobody_uses_are_shown_or_left_out_and_never_in_the_way(tmp_path):
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.table(SOUND | RARE), path)

    opened = _open(path)

    assert set(opened.left_out) == {"lasts", "bytes", "map", "empty.struct", "half"}
    shown = [name for name in opened.schema.names if name not in SOUND]
    assert shown == [
        *("column 5", "column 6", "_row (column 7)", "note", "NOTE (column 9)"),
        *("times", "struct", "far", "nothing", "kept in a dictionary", "large"),
    ]
    [part] = opened.parts(rows=10)
    with open_session(purpose="a test", memory_limit="1GB") as con:
        con.register("delivered", part)
        assert con.sql("SELECT to_json(delivered) FROM delivered").fetchall()


def test_a_csv_may_have_columns_without_a_name_and_with_one_name(tmp_path):
    header = HEADER[:-1] + ",,x,x,\n"
    rows = _read(_csv(tmp_path, "1,2026-03-01,2,2.5,a,,007,\n", header=header))
    assert rows.column_names[4:] == ["column 5", "x", "x (column 7)", "column 8"]
    assert [rows[name][0].as_py() for name in rows.column_names[4:]] == ["a", None, "007", None]


def test_what_was_trimmed_and_what_meant_nothing_is_counted_by_column(tmp_path):
    path = _csv(tmp_path, " 1,2026-03-01,NULL,2.5\n", "2\xa0,2026-03-01 ,2,NaN\n", ",2026-03-01,,1\n")
    opened = _open(path)
    assert opened.rows == 3
    assert dict(opened.trimmed) == {"order_id": 2, "ordered_at": 1}
    assert dict(opened.null_words) == {"quantity": 1, "unit_price": 1}


def test_a_file_is_read_as_its_dialect_says(tmp_path):
    path = tmp_path / "orders.csv"
    lines = "order_id;ordered_at;quantity;unit_price;kind\nä1;01.03.2026 10:00;1.000;2,50;-\n"
    path.write_bytes(lines.encode("cp1252"))
    dialect = Dialect(
        delimiter=";",
        decimal=",",
        thousands=".",
        encoding="cp1252",
        null_words=("-",),
        time_patterns=("%d.%m.%Y %H:%M",),
    )
    rows = _read(path, dialect=dialect)
    assert [rows[name][0].as_py() for name in rows.column_names] == ["ä1", datetime(2026, 3, 1, 10), 1000, 2.5, None]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 100])
def test_parts_of_a_file_are_the_file_whatever_their_size(tmp_path, monkeypatch, rows):
    lines = [f"{n},2026-03-01,{'inf' if n == 5 else n},2.5\n" for n in range(10)]
    monkeypatch.setattr(source_files, "ROWS_AT_ONCE", 3)
    opened = _open(_csv(tmp_path, *lines))
    parts = list(opened.parts(rows=rows))
    assert all(0 < part.num_rows <= rows for part in parts)
    assert pa.concat_tables(parts).equals(_read(tmp_path / "orders.csv"))
    assert opened.schema.field("quantity").type == pa.float64()


def test_a_fault_names_its_row_in_the_file_whatever_the_part(tmp_path, monkeypatch):
    monkeypatch.setattr(source_files, "ROWS_AT_ONCE", 2)
    lines = ["1,2026-03-01,2,2.5\n"] * 4
    _refused(_csv(tmp_path, *lines, "5,2026-03-01,2,1e999\n", *lines), "column unit_price", "'1e999' in data row 5")
    _refused(_csv(tmp_path, *lines, '5,2026-03-01,2,"1" \n', *lines), "data row 5 (line 6)")


def test_a_name_of_a_column_may_have_blanks_around_it(tmp_path):
    rows = _read(_csv(tmp_path, "1,2026-03-01,2,2.5\n", header="order_id, ordered_at,quantity\xa0,\u200bunit_price\n"))
    assert rows.column_names == ["order_id", "ordered_at", "quantity", "unit_price"]


def test_what_can_not_be_kept_is_told_by_where_it_should_be(tmp_path):
    path = _csv(tmp_path, "1,2026-03-01,2,2.5\n")
    with pytest.raises(MlopsError, match=r"can't be kept in .*nowhere: .*make room there, or set TMPDIR") as caught:
        open_source(local_file(path), COLUMNS, folder=tmp_path / "nowhere")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, extension):
    path = _csv(tmp_path, "1,2026-03-01,2,2.5\n") if extension == ".csv" else _parquet(tmp_path)
    keep = source_files.keep_rows

    def meanwhile(rows: pa.Table, kept: Path) -> Path:
        with path.open("ab") as file:
            file.write(b"2,2026-03-01,2,2.5\n")
        return keep(rows, kept)

    monkeypatch.setattr(source_files, "keep_rows", meanwhile)
    _refused(path, "changed while it was read")
