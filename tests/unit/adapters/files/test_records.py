"""Records are read as they stand, or refused by the row: whatever a block, a line's end or a quote is."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import pyarrow as pa
import pyarrow.fs as fs
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from include.adapters.files import records as records_module
from include.adapters.files import text_bytes
from include.adapters.files.faults import Grammar, count_lines
from include.adapters.files.records import Records, open_records
from include.adapters.files.tabular import TableFile
from include.errors import UnreadableInputError
from include.specs.dialect import Dialect

FILE = TableFile(fs.LocalFileSystem(), "rows.csv")


def cut(content: bytes, size: int) -> Iterator[bytes]:
    return (content[at : at + size] for at in range(0, len(content), size))


def read(content: bytes, *, block: int = 1 << 20, delimiter: str = ",") -> tuple[list[str], list[list[str]]]:
    """Return names and rows of a text, read in blocks of so many bytes."""
    records = Records(FILE, Dialect(delimiter=delimiter), cut(content, block))
    return records.names, rows_of(records.parts())


def rows_of(parts: Iterable[pa.Table]) -> list[list[str]]:
    return [list(row) for part in parts for row in zip(*(column.to_pylist() for column in part.columns), strict=True)]


def refusal(content: bytes, **options: int) -> str:
    with pytest.raises(UnreadableInputError) as caught:
        read(content, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("block", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        (b'a\n"x, ""y"""\n', ["a"], [['x, "y"']]),
        (b'a\n"two\r\nlines"\n', ["a"], [["two\r\nlines"]]),
        (b'"a"\nx', ["a"], [["x"]]),
        (b'a,b\r\n1,""\r\n\r\n,2\n3,4\r\n5,6', ["a", "b"], [["1", ""], ["", "2"], ["3", "4"], ["5", "6"]]),
        (b"a,b\r\r\n1,2\r\r\n", ["a", "b"], [["1", "2"]]),
        (b'a\n"1\r2"\n3\r', ["a"], [["1\r2"], ["3"]]),
        (b'\n\r\n"first\nname",b\n00123,1e5\n', ["first\nname", "b"], [["00123", "1e5"]]),
        (b'a\n\n""\nx\n', ["a"], [[""], [""], ["x"]]),
        (b"a,b\n\xef\xbb\xbf1,\xef\xbb\xbf\n", ["a", "b"], [["\ufeff1", "\ufeff"]]),
        (b"a,,a,\n1,2,3,4\n", ["a", "", "a", ""], [["1", "2", "3", "4"]]),
        (b'a,b\r"1\n2",3\r4,5\r', ["a", "b"], [["1\n2", "3"], ["4", "5"]]),
        (b"a,b\n 1 ,NULL\n", ["a", "b"], [[" 1 ", "NULL"]]),
        (b"a,b\n", ["a", "b"], []),
    ],
)
def test_a_value_is_what_stands_there_in_blocks_of_any_size(block, content, names, rows):
    assert read(content, block=block) == (names, rows)


@pytest.mark.parametrize("block", [1, 4, 1000])
@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b'a,b\n1,2\n"3"x,4\n', ["data row 2 (line 3)", 'text after a closing quote (\'"3"x,4']),
        (b'a,b\n1,"2" \n', ["data row 1 (line 2)", "text after a closing quote"]),
        (b'a,b\n1,2\n\n5" pipe,4\n', ["data row 2 (line 4)", "a quote within a value"]),
        (b'a,b\n1, "2"\n', ["data row 1 (line 2)", "a quote within a value"]),
        (b'a,b\n"1\n\n2",3\n4\n', ["data row 2 (line 5)", "1 value where there are 2 names"]),
        (b"a,b\n1,2,3\n", ["data row 1 (line 2)", "3 values where there are 2 names"]),
        (b"a,b\n1,2\n  \n", ["data row 2 (line 3)", "1 value where there are 2 names"]),
        (b'a,b\n1,2\n3,"4', ["data row 2 (line 3)", "a quote that nothing closes", "truncated"]),
        (b"a,b\n1,2\n3,\xe9\n", ["data row 2 (line 3)", "a byte that is not utf-8", "\\xe9"]),
        (b"a,b\n1,2\n3,\xe2\x82", ["data row 2 (line 3)", "a byte that is not utf-8"]),
        (b"a,b\n1,\0\n", ["data row 1 (line 2)", "a NUL character"]),
        (b'a,"b"c\n1,2\n', ["line 1, the names", "text after a closing quote"]),
        (b"\n\na,\xe9\n1,2\n", ["line 3, the names", "a byte that is not utf-8"]),
        (b'"a', ["line 1, the names", "a quote that nothing closes"]),
        (b"\r\n\n", ["nothing but empty lines"]),
        (b"a,b\r\r\n1\r\r\n", ["data row 1 (line 3)", "1 value"]),
        (b"a\n1\n2\r3\n", ["data row 2 (line 3)", "a carriage return within a value without quotes"]),
        (b'a,b\n1,"x\r"\n2,3\r4\n', ["data row 2 (line 4)", "a carriage return"]),
        (b"a,b\r\n1,2\r\n\r\r\n3,4\r\n", ["data row 2 (line 3)", "a carriage return"]),
    ],
)
def test_a_broken_record_is_refused_by_its_row_and_line(content, parts, block):
    message = refusal(content, block=block)
    for part in ("rows.csv: ", *parts):
        assert part in message


def test_rows_before_a_late_fault_are_counted_over_blocks():
    content = b"a,b\n" + b'1,"x\ny"\n' * 3000 + b"3\n"
    assert "data row 3001 (line 6002)" in refusal(content, block=512)


def test_a_record_that_never_ends_is_refused_before_all_of_it_is_held(monkeypatch):
    monkeypatch.setattr(records_module, "LONGEST_BYTES", 1 << 20)
    for content, found in ((b'a,b\n1,"', "a quote that nothing closes"), (b"a,b\n1,", "a row of more than 1 MB")):
        blocks = chain([content], repeat(b"x" * (1 << 16)))
        with pytest.raises(UnreadableInputError, match=found):
            rows_of(Records(FILE, Dialect(), blocks).parts())


VALUES = st.text(st.sampled_from('ab,;\t" \r\n\xe9\u20ac\ufeff0'), max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    width = draw(st.integers(1, 4))
    row = st.lists(VALUES, min_size=width, max_size=width)
    names = [f"{draw(VALUES)}{place}" for place in range(width)]
    return names, draw(st.lists(row, max_size=8))


@settings(max_examples=150)
@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r", "mixed", "mixed from a lone return on"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]),
    has_last_end=st.booleans(),
    block=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_any_table_comes_back_from_text(tmp_path_factory, table, delimiter, end, encoding, has_last_end, block, seed):
    names, rows = table
    if encoding == "cp1252":
        names, rows = ([[v.replace("\ufeff", "") for v in row] for row in part] for part in ([names], rows))
        [names] = names
    rng = random.Random(seed)
    written = write([names, *rows], delimiter, end, rng)
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes((written if has_last_end else written.rstrip("\r\n") or "").encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_bytes, "BLOCK_BYTES", block)
        file = TableFile(fs.LocalFileSystem(), str(path))
        with open_records(file, Dialect(delimiter=delimiter, encoding=encoding)) as records:
            assert (records.names, rows_of(records.parts())) == (names, rows)


def write(rows: list[list[str]], delimiter: str, end: str, rng: random.Random) -> str:
    """Return rows as text, with quotes where they must be and here and there where they needn't."""
    text = ""
    for row in rows:
        values = []
        for value in row:
            must = value == "" or any(mark in value for mark in f'{delimiter}"\r\n\ufeff')
            values.append('"' + value.replace('"', '""') + '"' if must or rng.random() < 0.3 else value)
        ends = {"mixed": ["\n", "\r\n"], "mixed from a lone return on": ["\n", "\r\n", "\r"] if text else ["\r"]}
        text += delimiter.join(values) + rng.choice(ends.get(end, [end]))
    return text


SOUP = st.lists(
    st.sampled_from([b"a", b'"', b'""', b",", b"\n", b"\r\n", b"\r", b" ", b"\xc3\xa9", b"\xff", b"\0", b'"x"']),
    max_size=14,
).map(b"".join)


@settings(max_examples=250)
@given(names=st.sampled_from([b"a\n", b"a,b\n", b'\n"a",b,c\r\n', b"a,b\r"]), soup=SOUP, block=st.integers(1, 20))
@example(names=b"a,b\n", soup=b'1,"a\r\nb"\r\n', block=9)
def test_any_bytes_are_read_as_the_grammar_says_or_refused(names, soup, block):
    assume(not (names.endswith(b"\r") and soup.startswith(b"\n")))
    width = names.count(b",") + 1
    grammar = Grammar(",", has_lone_cr=names.endswith(b"\r"))
    fault = grammar.find_fault(soup, width, rows=0, lines=count_lines(names), encoding="utf-8")
    if fault is not None:
        message = refusal(names + soup, block=block)
        assert fault.place in message
        assert fault.found.partition(" (")[0] in message
        return
    strict = csv.reader(io.StringIO(soup.decode(), newline=""), strict=True)
    wanted = [row or [""] for row in strict if row or width == 1]
    assert read(names + soup, block=block)[1] == wanted
