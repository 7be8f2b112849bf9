"""A file in parts is the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.files.inference import every_column
from include.adapters.files.parts import open_parts
from include.adapters.files.tabular import TableFile, local_file
from include.adapters.files.whole import read_rows
from include.errors import UnreadableInputError

ROWS = [1, 2, 7, 1_000_000]


def csv(folder: Path, content: bytes) -> TableFile:
    (folder / "rows.csv").write_bytes(content)
    return local_file(folder / "rows.csv")


def parquet(folder: Path, rows: pa.Table, **options: object) -> TableFile:
    pq.write_table(rows, folder / "rows.parquet", **options)
    return local_file(folder / "rows.parquet")


def read_parts(file: TableFile, *, rows: int, places: Sequence[int] | None = None) -> list[pa.Table]:
    with open_parts(file) as parts:
        return list(parts.read(rows=rows, places=places))


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize(
    "content",
    [
        b"id,n\n007,1\nNA,\n,x\n",
        b'id,n\n"two\nlines",1\n"a ""b"", c",2\n\n3,4\n',
        b"\xef\xbb\xbfid,n\r\n1,2\r\n",
        # Several of the blocks that the parser reads, the values' line ends across their bounds.
        b"id,n\n" + b"".join(b'%d,"%s\n%d"\n' % (n, b"x" * 40, n) for n in range(60_000)),
    ],
    ids=["words", "quotes", "mark", "blocks"],
)
def test_a_csv_in_parts_has_the_texts_of_the_whole(tmp_path: Path, content: bytes, rows: int) -> None:
    file = csv(tmp_path, content)
    parts = read_parts(file, rows=max(rows, len(content) // 1_000))
    whole = read_rows(file, is_text=every_column)
    assert pa.concat_tables(parts).equals(whole)
    with open_parts(file) as opened:
        assert opened.schema == whole.schema


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("group", [3, 1_000])
def test_a_parquet_file_in_parts_has_the_rows_of_the_whole(tmp_path: Path, rows: int, group: int) -> None:
    made = pa.table(
        {
            "id": pa.array([f"i{n}" for n in range(20)]).dictionary_encode(),
            "b": [{"a": n} for n in range(20)],
            "b.a": pa.array(range(20), pa.int16()),
            "x": [1.5, None] * 10,
        }
    )
    file = parquet(tmp_path, made, row_group_size=group)
    parts = read_parts(file, rows=rows)
    assert pa.concat_tables(parts).equals(read_rows(file))
    assert all(part.num_rows <= 2 * rows for part in parts)
    assert {tuple(part.column_names) for part in read_parts(file, rows=rows, places=[2, 3])} == {("b.a", "x")}


@pytest.mark.parametrize("rows", ROWS)
def test_a_file_without_rows_has_no_part(tmp_path: Path, rows: int) -> None:
    assert read_parts(csv(tmp_path, b"a,b\n"), rows=rows) == []
    assert read_parts(parquet(tmp_path, pa.table({"a": pa.array([], pa.int8())})), rows=rows) == []


@pytest.mark.parametrize(
    "content",
    [b"", b'a,b\n1,"2\n', b"a,b\n1,2\n3\n", b"a\n\xff\n", b"a,b\n" + b"1,2\n" * 50_000 + b"3\n"],
    ids=["empty", "truncated", "short", "latin", "late"],
)
def test_what_is_refused_as_a_whole_is_refused_in_parts_in_the_same_words(tmp_path: Path, content: bytes) -> None:
    file = csv(tmp_path, content)
    with pytest.raises(UnreadableInputError) as whole:
        read_rows(file, is_text=every_column)
    with pytest.raises(UnreadableInputError) as in_parts:
        read_parts(file, rows=1)
    # Who reads the whole is told a cause besides.
    assert str(whole.value).startswith(str(in_parts.value))


def test_a_damaged_page_is_found_when_it_is_read(tmp_path: Path) -> None:
    made = pa.table({"id": [f"{n * 7919 % 100_003}" for n in range(50_000)]})
    file = parquet(tmp_path, made, row_group_size=10_000, compression="snappy")
    content = bytearray((tmp_path / "rows.parquet").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = b"\x00" * 400
    (tmp_path / "rows.parquet").write_bytes(content)
    with pytest.raises(UnreadableInputError, match="truncated, damaged"):
        read_parts(file, rows=1_000)


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_of_two_columns_of_one_name_each_is_its_own(tmp_path: Path, extension: str) -> None:
    if extension == ".csv":
        file = csv(tmp_path, b"a,b,a\n1,2,3\n")
    else:
        file = parquet(tmp_path, pa.Table.from_arrays([pa.array([v]) for v in "123"], names=["a", "b", "a"]))
    found = [[column.to_pylist() for column in part.columns] for part in read_parts(file, rows=9, places=[1, 2])]
    assert found == [[["2"], ["3"]]]
