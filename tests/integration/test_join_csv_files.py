"""`mlops features join` on CSV: what a person wrote comes out as it stood; parquet gets numbers where it can."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.steps.join_features import join_features

AT = "2024-01-10T12:00:00Z"


def write(path: Path, columns: dict[str, list[str]]) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(columns)
        out.writerows(zip(*columns.values(), strict=True))
    return path


def joined(folder: Path, asked: list[str], stored: list[str], *, out: str = "out.csv", at: str = AT) -> Path:
    """Join a feature `f` to a column `x`, row by row."""
    keys = [f"0{n}" for n in range(len(asked))]
    times = [AT] * len(keys)
    entities = write(folder / "entities.csv", {"id": keys, "event_timestamp": times, "x": asked})
    features = write(
        folder / "features.csv",
        {"id": keys, "event_timestamp": times, "created_timestamp": [AT] * (len(keys) - 1) + [at], "f": stored},
    )
    join_features(entities, features, folder / out, keys=["id"])
    return folder / out


def columns_of(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


@pytest.mark.parametrize(
    "texts",
    [
        ["01234", "7"],
        ["1.50", "2"],
        ["12345678901234567890", "1"],
        ["2024-01-10T12:00:00+02:00", "2024-01-11T12:00:00+02:00"],
        ["01:30", "02:30"],
        ["True", "FALSE"],
        ["12E4", "1E5"],
        ["a, b", 'c "d"'],
        ["two\nlines", "+7"],
        ["NA", ""],
    ],
    ids=lambda texts: texts[0],
)
def test_a_csv_gets_every_value_as_it_stood(tmp_path: Path, texts: list[str]) -> None:
    found = columns_of(joined(tmp_path, texts, texts))

    assert (found["id"], found["x"], found["f"]) == (["00", "01"], texts, texts)


def test_numbers_are_written_without_quotes_where_nothing_needs_any(tmp_path: Path) -> None:
    assert joined(tmp_path, ["3", "0.1"], ["01", "x"]).read_text().splitlines()[1:] == [
        "00,2024-01-10 12:00:00Z,3,01",
        "01,2024-01-10 12:00:00Z,0.1,x",
    ]


@pytest.mark.parametrize(
    ("texts", "dtype", "expected"),
    [
        (["3", "-1"], pa.int64(), [3, -1]),
        (["1.50", "2"], pa.float64(), [1.5, 2.0]),
        (["0.30000000000000004", "1e-05"], pa.float64(), [0.1 + 0.2, 1e-5]),
        (["NA", "2.5"], pa.float64(), [None, 2.5]),
        (["inf", "-2.5"], pa.float64(), [float("inf"), -2.5]),
        (["true", "false"], pa.bool_(), [True, False]),
        (["01234", "7"], pa.string(), ["01234", "7"]),
        (["0007.5", "1"], pa.string(), ["0007.5", "1"]),
        (["+7", "1"], pa.string(), ["+7", "1"]),
        (["12E4", "1"], pa.string(), ["12E4", "1"]),
        (["12345678901234567890", ""], pa.string(), ["12345678901234567890", ""]),
        (["123456789012345678", "0.5"], pa.string(), ["123456789012345678", "0.5"]),
        (["123456789012345678", "NA"], pa.int64(), [123456789012345678, None]),
        (["NA", "FR"], pa.string(), ["NA", "FR"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_parquet_gets_numbers_where_no_value_loses_what_was_written(
    tmp_path: Path, texts: list[str], dtype: pa.DataType, expected: list[Any]
) -> None:
    found = pq.read_table(joined(tmp_path, texts, texts, out="out.parquet"))

    assert found.schema.field("x").type == found.schema.field("f").type == dtype
    assert found["x"].to_pylist() == found["f"].to_pylist() == expected


@pytest.mark.parametrize("at", ["2024-02-01 01:00:00 +0100", "2024-02-01 00:00:00 UTC", "2024-02-01T00:00:00,5 Z"])
def test_a_time_as_databases_write_it_is_a_time(tmp_path: Path, at: str) -> None:
    found = columns_of(joined(tmp_path, ["a", "b"], ["1", "2"], at=at))
    assert found["f"] == ["1", ""]


def test_a_time_of_the_year_9999_beside_fractions_of_a_second_is_a_time(tmp_path: Path) -> None:
    found = columns_of(joined(tmp_path, ["a", "b"], ["1", "2"], at="9999-12-31T00:00:00.5Z"))
    assert found["f"] == ["1", ""]
