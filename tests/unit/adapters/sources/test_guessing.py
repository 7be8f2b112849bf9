"""The head of a file that nobody described, guessed: and what is guessed reads the file."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.sources.guessing import FileGuess, guess_file
from include.adapters.sources.source_files import local_file, read_source
from include.errors import UnreadableInputError
from include.quality.formats import Family, FileColumn
from include.specs.dialect import Dialect

TEXT, WHOLE, NUMBER, TIME = Family.TEXT, Family.WHOLE, Family.NUMBER, Family.TIME


def guess(folder: Path, content: bytes, name: str = "rows.csv") -> FileGuess:
    (folder / name).write_bytes(content)
    return guess_file(local_file(folder / name))


def families(found: FileGuess) -> list[Family | None]:
    return [column.family for column in found.columns]


def test_a_plain_log_is_read_as_it_stands(tmp_path):
    found = guess(
        tmp_path, b"customer,day,pieces,value\nc1,2026-03-01,2,2.50\nc2,2026-03-02,NULL,3\nc3,2026-03-03,1,4\n"
    )
    assert found.dialect == Dialect()
    assert families(found) == [TEXT, TIME, WHOLE, NUMBER]
    assert [column.null_share for column in found.columns] == [0, 0, pytest.approx(1 / 3), 0]
    assert found.columns[0].sample == ("c1", "c2", "c3")
    assert found.rows == 3


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("k;w;z\nä;1.234,50;13.3.2026 8:05\nö;2,75;1.2.2026 10:00\n", {"decimal": ",", "thousands": "."}),
        ("k;w;z\nä;34,50;13.3.2026 8:05\nö;2,75;1.2.2026 10:00\n", {"decimal": ","}),
        ("k;w;z\nä;34.50;13.3.2026 8:05\nö;2.75;1.2.2026 10:00\n", {}),
    ],
)
def test_a_spreadsheet_of_europe_is_guessed_and_read_by_its_guess(tmp_path, text, wanted):
    found = guess(tmp_path, text.encode("latin-1"))
    assert found.dialect == Dialect(delimiter=";", encoding="latin-1", time_patterns=("%d.%m.%Y %H:%M",), **wanted)
    assert families(found) == [TEXT, NUMBER, TIME]
    columns = [FileColumn(column.name, column.family, required=True) for column in found.columns]
    rows = read_source(local_file(tmp_path / "rows.csv"), columns, dialect=found.dialect)
    assert rows["k"].to_pylist() == ["ä", "ö"]
    assert rows["w"][1].as_py() == 2.75
    assert rows["z"][0].as_py() == datetime(2026, 3, 13, 8, 5)  # noqa: DTZ001


def test_a_name_that_looks_like_a_number_is_text(tmp_path):
    found = guess(tmp_path, b"a,b,c\n00123,1e5,4006381333931\n1,2,4006381333948\n")
    assert families(found) == [TEXT, WHOLE, TEXT]


def test_day_and_month_that_nothing_tells_apart_are_told_as_both(tmp_path):
    found = guess(tmp_path, b"at\n2/3/2026\n1/2/2026\n")
    assert found.columns[0].time_patterns == ("%m/%d/%Y", "%d/%m/%Y")
    assert found.dialect.time_patterns == ("%m/%d/%Y",)
    found = guess(tmp_path, b"at\n2/3/2026\n13/2/2026\n")
    assert found.columns[0].time_patterns == ("%d/%m/%Y",)


def test_types_of_parquet_are_what_they_say(tmp_path):
    rows = pa.table(
        {
            "id": [b"a", b"b"],
            "n": pa.array([1, None], pa.uint8()),
            "price": [Decimal("2.5"), Decimal(3)],
            "at": pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * 2, pa.timestamp("ms", "UTC")),
            "iso": ["2026-03-01T10:00Z", "2026-03-02T10:00+0100"],
            "digits": ["1", "2"],
            "yes": [True, False],
            "none": pa.nulls(2),
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    found = guess_file(local_file(tmp_path / "rows.parquet"))
    assert families(found) == [TEXT, WHOLE, NUMBER, TIME, TIME, TEXT, None, None]
    assert [column.has_zone for column in found.columns[3:5]] == [True, True]
    assert found.dialect == Dialect()


@pytest.mark.parametrize("content", [b"a,b\n", b"a;b\n"])
def test_a_file_of_names_alone_has_columns_of_no_family(tmp_path, content):
    found = guess(tmp_path, content)
    assert [column.name for column in found.columns] == ["a", "b"]
    assert (families(found), found.rows) == ([None, None], 0)


def test_a_broken_file_is_refused(tmp_path):
    with pytest.raises(UnreadableInputError, match=r"data row 2 \(line 3\)"):
        guess(tmp_path, b"a,b\n1,2\n3\n")
    with pytest.raises(UnreadableInputError, match="a spreadsheet"):
        guess(tmp_path, b"PK\x03\x04\x00\x00")


@pytest.mark.parametrize(
    ("names", "known", "left_out"),
    [
        (",id,when", ["id", "when"], ("number 1",)),
        ("id,Qty,qty,when", ["id", "when"], ("Qty", "qty")),
        ("id,id,when", ["when"], ("id", "id")),
        ("_row,id,_INFINITE,when", ["id", "when"], ("_row", "_INFINITE")),
        ("id, when ,\xa0", ["id", "when"], ("number 3",)),
    ],
)
def test_a_column_that_no_format_could_name_is_left_out_and_told(tmp_path, names, known, left_out):
    values = ",".join("1" for _ in names.split(","))
    found = guess(tmp_path, f"{names}\n{values}\n".encode())
    assert [column.name for column in found.columns] == known
    assert found.left_out == left_out
