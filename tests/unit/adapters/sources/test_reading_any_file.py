"""Bytes to rows: any table comes back whole from any text and any parts, or the file is refused by a row."""

from __future__ import annotations

import csv
import io
import random
from itertools import pairwise

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.adapters.files import text_bytes
from include.adapters.files.tabular import TableFile
from include.adapters.sources import source_files
from include.adapters.sources.source_files import read_source
from include.errors import UnreadableInputError
from include.quality.formats import Family, FileColumn
from include.specs.dialect import Dialect
from tests.everyday import examples

COLUMNS = (
    FileColumn("id", Family.TEXT, required=True),
    FileColumn("n", Family.WHOLE, required=True),
    FileColumn("note", Family.TEXT, required=False),
)
TEXTS = st.text(st.sampled_from('a,;\t" \r\né0'), min_size=1, max_size=5).map(lambda text: f"x{text}x")
ROWS = st.lists(st.tuples(TEXTS, st.integers(-(2**63), 2**63 - 1), TEXTS), min_size=1, max_size=12)
QUICK = settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(rows: list[tuple[str, int, str]], delimiter: str, end: str, quoting: int) -> str:
    # Python's writer leaves a line's end without quotes where lines end otherwise; a reader can't tell it from one.
    has_line_end = any(mark in text for row in rows for text in (row[0], row[2]) for mark in "\r\n")
    quoting = csv.QUOTE_NONNUMERIC if has_line_end else quoting
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("id", "n", "note"), *rows])
    return out.getvalue()


def read(content: bytes, dialect: Dialect, folder, *, block: int, at_once: int) -> list[tuple[object, ...]]:
    path = folder / "rows.csv"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_bytes, "BLOCK_BYTES", block)
        patch.setattr(source_files, "ROWS_AT_ONCE", at_once)
        found = read_source(TableFile(fs.LocalFileSystem(), str(path)), COLUMNS, dialect=dialect, may_be_empty=True)
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


@QUICK
@given(
    rows=ROWS,
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-be"]),
    block=st.integers(1, 50),
    at_once=st.integers(1, 5),
    cuts=st.lists(st.integers(0, 12), max_size=2),
)
def test_any_table_comes_back_from_any_files(tmp_path, rows, delimiter, end, quoting, encoding, block, at_once, cuts):
    dialect = Dialect(delimiter=delimiter, encoding=encoding)
    ends = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    found = []
    for first, last in pairwise(ends):
        content = written(rows[first:last], delimiter, end, quoting).encode(encoding)
        found += read(content, dialect, tmp_path, block=block, at_once=at_once)
    assert found == rows


@QUICK
@given(rows=ROWS, seed=st.integers(0, 10_000), block=st.integers(1, 50))
def test_a_file_with_a_wrong_byte_is_refused_or_has_all_its_rows(tmp_path, rows, seed, block):
    rng = random.Random(seed)
    content = bytearray(written(rows, ",", "\n", csv.QUOTE_MINIMAL).encode())
    content[rng.randrange(content.index(b"\n") + 1, len(content))] = rng.choice(b'",\n\r\x00\xff a0')
    try:
        found = read(bytes(content), Dialect(), tmp_path, block=block, at_once=3)
    except UnreadableInputError as err:
        assert "data row " in str(err)  # noqa: PT017 - either is right
        return
    strict = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    wanted = [row for row in strict if row][1:]
    assert len(found) == len(wanted)
    assert [row[0] for row in found] == [row[0].strip() or None for row in wanted]


def test_parts_of_text_and_parts_of_parquet_are_one_table(tmp_path):
    rows = [(f"i{n}", n, f"line\r\n{n}") for n in range(100)]
    ids, numbers, notes = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({"id": ids, "n": numbers, "note": notes})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=7)
    of_parquet = read_source(TableFile(fs.LocalFileSystem(), str(tmp_path / "rows.parquet")), COLUMNS)
    content = written(rows, ",", "\r\n", csv.QUOTE_MINIMAL).encode()
    assert read(content, Dialect(), tmp_path, block=13, at_once=7) == rows
    assert of_parquet.equals(table)
