"""A file at once: its columns, its texts, and who is to blame when it can't be read."""

# Files hold local times without a zone.
# ruff: noqa: DTZ001
from __future__ import annotations

import gzip
import socket
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest

from include.adapters.files.inference import every_column
from include.adapters.files.tabular import TableFile, local_file
from include.adapters.files.whole import open_parquet, read_rows
from include.errors import MlopsError, UnreadableInputError


def csv(folder: Path, content: bytes) -> TableFile:
    (folder / "rows.csv").write_bytes(content)
    return local_file(folder / "rows.csv")


def parquet(folder: Path, **columns: object) -> TableFile:
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return local_file(folder / "rows.parquet")


def test_text_of_a_csv_is_as_it_stands_and_other_columns_get_types(tmp_path):
    file = csv(tmp_path, b"id,n,x\n007,1,NA\nNA,NA,2.5\n,3,\n")

    found = read_rows(file, is_text=lambda name: name == "id")

    assert found.to_pydict() == {"id": ["007", "NA", ""], "n": [1, None, 3], "x": [None, 2.5, None]}
    assert read_rows(file, is_text=every_column).to_pydict() == {
        "id": ["007", "NA", ""],
        "n": ["1", "NA", "3"],
        "x": ["NA", "2.5", ""],
    }


def test_columns_come_in_the_order_that_was_asked_for_and_no_other_is_read(tmp_path):
    assert read_rows(csv(tmp_path, b"a,b,c\n1,2,3\n"), columns=["c", "a"]).to_pydict() == {"c": [3], "a": [1]}
    file = parquet(tmp_path, a=[1], b=[{"a": 2}], **{"b.a": [3]})
    assert read_rows(file, columns=["b.a", "a"]).to_pydict() == {"b.a": [3], "a": [1]}


def test_a_naive_time_gets_no_zone(tmp_path):
    found = read_rows(csv(tmp_path, b"naive,zoned\n2024-01-10 12:00:00,2024-01-10 12:00:00Z\n"))
    assert [field.type.tz for field in found.schema] == [None, "UTC"]


def test_a_header_without_rows_gives_every_column(tmp_path):
    assert read_rows(csv(tmp_path, b"a,b\n"), is_text=every_column).schema.types == [pa.string()] * 2
    assert read_rows(csv(tmp_path, b"a,b\n")).to_pydict() == {"a": [], "b": []}


def test_storage_that_fails_is_no_damaged_file_though_its_name_ends_in_parquet():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    s3 = fs.S3FileSystem(
        access_key="test",
        secret_key="test",
        region="us-east-1",
        scheme="http",
        endpoint_override=nobody,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )
    for read in (read_rows, open_parquet):
        with pytest.raises(MlopsError, match="check that the storage is reachable") as caught:
            read(TableFile(s3, "landing/rows.parquet"))
        assert caught.value.exit_code == 3


def test_a_file_that_went_away_meanwhile_is_a_failure_of_its_storage(tmp_path):
    file = parquet(tmp_path, a=[1])
    (tmp_path / "rows.parquet").unlink()
    for read in (read_rows, open_parquet):
        with pytest.raises(MlopsError, match=r"rows\.parquet can't be read: .*No such file") as caught:
            read(file)
        assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "pack"), [("rows.csv.gz", gzip.compress), ("rows.CSV.ZST", pa.Codec("zstd").compress), ("rows.csv", bytes)]
)
def test_a_compressed_text_is_the_text_and_a_truncated_one_is_refused(tmp_path, name, pack):
    packed = bytes(pack(b"id,note\n" + b'007,"x, y"\n' * 5000))
    (tmp_path / name).write_bytes(packed)
    file = local_file(tmp_path / name)
    assert read_rows(file, columns=["id"], is_text=every_column)["id"].to_pylist() == ["007"] * 5000
    (tmp_path / name).write_bytes(packed[:-5])
    with pytest.raises(UnreadableInputError, match=r"(?i)rows\.csv.*truncated"):
        read_rows(file)


def test_a_tsv_is_read_by_tabs(tmp_path):
    (tmp_path / "rows.tsv").write_bytes(b"a\tb\n1,5\tx\n")
    assert read_rows(local_file(tmp_path / "rows.tsv")).to_pydict() == {"a": ["1,5"], "b": ["x"]}


FAR, FINE = datetime(9999, 12, 31, 1, 2, 3), pd.Timestamp("2024-01-01 00:00:00.000000007")


def int96(folder: Path, **columns: pa.Array) -> TableFile:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns), path, use_deprecated_int96_timestamps=True, store_schema=False)
    return local_file(path)


def read_both(file: TableFile, name: str) -> list[list[object]]:
    return [rows[name].to_pylist() for rows in (read_rows(file), open_parquet(file).to_table())]


@pytest.mark.parametrize("far", [FAR, datetime(1, 1, 1), datetime(1677, 1, 1), datetime(2262, 4, 12)])
def test_a_time_of_int96_that_nanoseconds_do_not_reach_is_that_time(tmp_path, far):
    file = int96(tmp_path, at=pa.array([far, None, datetime(2024, 1, 1)], pa.timestamp("us")))
    assert read_both(file, "at") == [[far, None, datetime(2024, 1, 1)]] * 2


def test_a_time_of_int96_keeps_its_nanoseconds(tmp_path):
    file = int96(tmp_path, at=pa.array([FINE, None], pa.timestamp("ns")))
    assert read_both(file, "at") == [[FINE, None]] * 2


def test_nanoseconds_of_int96_beside_a_time_that_they_do_not_reach_are_refused(tmp_path):
    fine, far = pa.array([FINE], pa.timestamp("ns")), pa.array([FAR], pa.timestamp("us"))
    file = int96(tmp_path, at=fine, until=far)
    for read in (read_rows, open_parquet):
        with pytest.raises(UnreadableInputError, match="column 'at' has fractions of a microsecond"):
            read(file)
