"""What is written is read again as it was."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.adapters.files.inference import every_column
from include.adapters.files.tabular import local_file
from include.adapters.files.whole import read_rows
from include.adapters.files.writing import writer

TEXTS = st.text(st.sampled_from('ab,;" \r\né\ufeff'), max_size=5)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), max_size=6), width=st.integers(1, 2))
@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_any_texts_that_are_written_are_read_again(tmp_path, rows, width, extension):
    columns = [pa.array([row[place] for row in rows], pa.string()) for place in range(width)]
    table = pa.table(columns, names=["a", "b"][:width])
    writer(tmp_path / f"rows{extension}")(table)
    assert read_rows(local_file(tmp_path / f"rows{extension}"), is_text=every_column).equals(table)
