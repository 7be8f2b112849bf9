"""Columns of text get the types that Arrow's reader of CSV gives them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv as pacsv
from hypothesis import example, given, settings
from hypothesis import strategies as st

from include.adapters.files.inference import every_column, with_types

WORDS = [
    *("", "NA", "nan", "null", "x", "1", "0", "-5", "007", "0x1F", " 7", "7 ", "\t3", "1.5", "1e3", "1.", "-0", "+7"),
    *("inf", "-inf", "1e400", "1_0", "1,5", "9223372036854775808", "true", "True", "FALSE", " true"),
    *("2024-01-01", "2024-02-30", "2024-01-01 10", "2024-01-01 10:00", "2024-01-01T10:00:00", "2024-01-01Z"),
    *("2024-01-01 10:00:00.5", "2024-01-01 10:00:00Z", "2024-01-01 10:00:00.25+01:00", "1700-01-01 10:00:00.5"),
    *("10:20", "10:20:30", "10:20:30.5", "25:00"),
]


@settings(max_examples=200)
@given(values=st.lists(st.sampled_from(WORDS), max_size=4))
@example(values=["2024-01-01", "2024-01-01 10:00:00"])
@example(values=["1", "true"])
def test_a_column_gets_the_type_and_the_values_that_arrow_gives_it(values):
    written = "".join(f'"{value}",1\n' for value in values)
    wanted = pacsv.read_csv(pa.BufferReader(f"c,other\n{written}".encode()))["c"]

    found = with_types(pa.table({"c": pa.array(values, pa.string())}))["c"]

    assert found.type == wanted.type
    assert str(found.to_pylist()) == str(wanted.to_pylist())


def test_a_column_that_is_text_stays_as_it_stands():
    texts = pa.table({"c": ["1", "", "NA"]})
    assert with_types(texts, every_column).equals(texts)
