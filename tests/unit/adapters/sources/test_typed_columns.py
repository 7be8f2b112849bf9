"""A value is exactly what the file says, or the file is refused with column, value, row and remedy."""

# Files hold local times without a zone.
# ruff: noqa: DTZ001
from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from include.adapters.sources.typed_columns import TypedColumn
from include.errors import UnreadableInputError
from include.quality.formats import Family, FileColumn
from include.specs.dialect import Dialect

INF = float("inf")
EUROPEAN = {"decimal": ",", "thousands": "."}
MARCH = datetime(2026, 3, 1, 10)


def column(family: Family, *, knows_types: bool = True, **changes: object) -> TypedColumn:
    found = FileColumn("it", family, required=True)
    return TypedColumn("rows.csv", found, Dialect(**changes), knows_types=knows_types)


def typed(family: Family, values: pa.Array, **options: object) -> pa.ChunkedArray:
    read = column(family, **options)
    found = read.read(pa.chunked_array([values]), row=1)
    read.finish()
    assert found.type == read.type
    return found


def texts(family: Family, *values: str | None, **changes: object) -> list[object]:
    return typed(family, pa.array(values, pa.string()), knows_types=False, **changes).to_pylist()


def refusal(family: Family, values: pa.Array, **options: object) -> str:
    with pytest.raises(UnreadableInputError, match=r"^rows\.csv: column it .*; wanted: .*; ") as caught:
        typed(family, values, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.array([2**63 - 1, -(2**63)]), [2**63 - 1, -(2**63)]),
        (pa.array([2**63 - 1], pa.uint64()), [2**63 - 1]),
        (pa.array([2.0**53, None, float("nan")]), [2**53, None, None]),
        (pa.array([7.0], pa.float32()), [7]),
        (pa.array([Decimal(2**63 - 1)], pa.decimal128(38, 0)), [2**63 - 1]),
        (pa.array([Decimal("12.00")], pa.decimal256(50, 2)), [12]),
        (pa.array([1.0, INF]), [1.0, INF]),
        (pa.array([1, 1]).dictionary_encode(), [1, 1]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_a_whole_number_is_exact(values, wanted):
    assert typed(Family.WHOLE, values).to_pylist() == wanted


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)]),
        (["9007199254740993", "2.0", "+3", "1e3", "007", None], [2**53 + 1, 2, 3, 1000, 7, None]),
        (["1", "-inf", "Infinity"], [1.0, -INF, INF]),
        (["", "NULL", " 5\xa0"], [None, None, 5]),
    ],
)
def test_a_whole_number_of_a_text_is_exact(written, wanted):
    assert texts(Family.WHOLE, *written) == wanted


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2**63], pa.uint64()),
        pa.array([1, 2.5]),
        pa.array([1.0, 2.0**60]),
        pa.array([1.0, 2.0**30], pa.float32()),
        pa.array([Decimal(1), Decimal(2**63)], pa.decimal128(38, 0)),
        pa.array([Decimal("1.0"), Decimal("2.5")]),
    ],
    ids=str,
)
def test_a_whole_number_that_would_be_another_is_refused_by_its_row(values):
    assert "in data row 2;" in refusal(Family.WHOLE, values)


@pytest.mark.parametrize("text", ["9223372036854775808", "0x1F", "2.5", "1e400", "two", "1,5", "1 000", "--1", "1e17"])
def test_a_text_that_is_no_whole_number_is_refused_by_its_row(text):
    found = refusal(Family.WHOLE, pa.array(["1", None, "2", text, text]), knows_types=False)
    assert f"with the value {text!r} in data row 4;" in found


def test_a_large_whole_number_beside_an_infinite_one_of_another_part_is_refused():
    read = column(Family.WHOLE)
    read.read(pa.chunked_array([pa.array([5, 2**53 + 1])]), row=1)
    read.read(pa.chunked_array([pa.array([INF])]), row=3)
    with pytest.raises(UnreadableInputError, match="9007199254740993 in data row 2 and an infinite one"):
        read.finish()


@pytest.mark.parametrize(
    ("written", "changes", "wanted"),
    [
        (["2.5", ".5", "1.", "-1e-3", "+7", "inf", "nan"], {}, [2.5, 0.5, 1.0, -0.001, 7.0, INF, None]),
        (["2,5", "-0,25", "3"], {"decimal": ","}, [2.5, -0.25, 3.0]),
        (["1.234.567,5", "999", "-1.000"], EUROPEAN, [1234567.5, 999.0, -1000.0]),
        (["1,234.5", "12"], {"thousands": ","}, [1234.5, 12.0]),
        (["1\xa0234,5"], {"decimal": ",", "thousands": "\xa0"}, [1234.5]),
        (["9007199254740992", "1e300"], {}, [2.0**53, 1e300]),
    ],
)
def test_a_number_is_read_as_its_dialect_writes_it(written, changes, wanted):
    assert texts(Family.NUMBER, *written, **changes) == wanted


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("2,5", {}),
        ("2.5", {"decimal": ","}),
        ("1.5", EUROPEAN),
        ("1.2345", EUROPEAN),
        ("1234.567", EUROPEAN),
        ("1,2,3", EUROPEAN),
        ("1,5.000", EUROPEAN),
        ("9007199254740993", {}),
        ("1e999", {}),
        ("0x10", {}),
        ("12 EUR", {}),
    ],
)
def test_a_number_that_could_be_another_is_refused(text, changes):
    assert f"{text!r} in data row 2;" in refusal(Family.NUMBER, pa.array(["1", text]), knows_types=False, **changes)


@pytest.mark.parametrize("family", [Family.NUMBER, Family.WHOLE])
@pytest.mark.parametrize(
    ("text", "changes", "told"),
    [
        ("2,50", {}, "(decimal: ',')"),
        ("1,000", {}, "(decimal: ',') or (thousands: ',')"),
        ("1.234,50", {}, "(decimal: ',', thousands: '.')"),
        ("1.234.567,5", {"decimal": ","}, "(thousands: '.')"),
        ("1\xa0234,5", {}, r"(decimal: ',', thousands: '\xa0')"),
    ],
)
def test_a_number_of_another_dialect_is_told_with_the_options_that_read_it(family, text, changes, told):
    assert f"name in the format how {told}" in refusal(family, pa.array([text]), knows_types=False, **changes)


@pytest.mark.parametrize("text", [".5", "2.5", "1e-320", "1e308"])
def test_no_option_is_told_where_a_number_is_read_and_is_not_whole(text):
    told = refusal(Family.WHOLE, pa.array([text]), knows_types=False)
    assert "correct the column" in told
    assert "name in the format" not in told


@pytest.mark.parametrize(
    "values",
    [pa.array([2**53 + 1]), pa.array([Decimal(2**53 + 1)], pa.decimal128(38, 0)), pa.array([True]), pa.array(["1"])],
    ids=str,
)
def test_a_typed_number_that_a_float_would_round_is_refused(values):
    refusal(Family.NUMBER, values)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.array(["00123", "1e5", " 7 "]), ["00123", "1e5", "7"]),
        (pa.array([b"00123", b"\xc3\xa9"]), ["00123", "é"]),
        (pa.array([b"abc"], pa.binary(3)), ["abc"]),
        (pa.array([b"abc"], pa.large_binary()), ["abc"]),
        (pa.array([Decimal("1" * 38)], pa.decimal128(38, 0)), ["1" * 38]),
        (pa.array([Decimal("17850.00")], pa.decimal128(10, 2)), ["17850"]),
        (pa.array([17850.0, None]), ["17850", None]),
        (pa.array([17850.0], pa.float32()), ["17850"]),
        (pa.array([2**63], pa.uint64()), [str(2**63)]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
    ],
)
def test_an_identifier_is_the_text_of_what_is_there(values, wanted):
    assert typed(Family.TEXT, values).to_pylist() == wanted


@pytest.mark.parametrize(
    "values",
    [
        pa.array([b"ok", b"\xff"]),
        pa.array([1.0, 1.5]),
        pa.array([1.0, INF]),
        pa.array([1.0, 2.0**25 + 4], pa.float32()),
        pa.array([Decimal("1.0"), Decimal("1.5")]),
    ],
    ids=str,
)
def test_an_identifier_that_is_no_text_is_refused_by_its_row(values):
    assert "in data row 2;" in refusal(Family.TEXT, values)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("2026-03-01", datetime(2026, 3, 1)),
        ("2026-03-01 10:00:00.1234567", MARCH.replace(microsecond=123456)),
        ("2026-03-01T10:00:00,123456789", MARCH.replace(microsecond=123456)),
        ("2026-03-01 10:00", MARCH),
        ("2026-03-01 11:00:00 +0100", MARCH.replace(tzinfo=UTC)),
        ("2026-03-01 11:00:00.1234567 +01:00", MARCH.replace(tzinfo=UTC, microsecond=123456)),
        ("2026-03-01T11:00:00+01", MARCH.replace(tzinfo=UTC)),
        ("2026-03-01 10:00:00 UTC", MARCH.replace(tzinfo=UTC)),
        ("2026-03-01T10:00:00z", MARCH.replace(tzinfo=UTC)),
        ("9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999999)),
        ("0001-01-01", datetime(1, 1, 1)),
    ],
)
@pytest.mark.parametrize("knows_types", [True, False])
def test_a_time_is_the_instant_that_is_written(written, wanted, knows_types):
    values = pa.array([None, written, "NULL"])
    assert typed(Family.TIME, values, knows_types=knows_types).to_pylist() == [None, wanted, None]


@pytest.mark.parametrize(
    ("written", "patterns", "wanted"),
    [
        ("1.3.2026 10:00", ("%d.%m.%Y %H:%M",), MARCH),
        ("01-MAR-26", ("%d-%b-%y",), datetime(2026, 3, 1)),
        ("3/1/2026 10:00:00.5 am", ("%d.%m.%Y", "%m/%d/%Y %I:%M:%S.%f %p"), MARCH.replace(microsecond=500000)),
        ("12/31/99 12:00 AM", ("%m/%d/%y %I:%M %p",), datetime(1999, 12, 31)),
        ("20260301T110000+0100", ("%Y%m%dT%H%M%S%z",), MARCH.replace(tzinfo=UTC)),
        ("29.2.2024", ("%d.%m.%Y", "%Y-%m-%d"), datetime(2024, 2, 29)),
        ("2026-03-01 10:00:00.1234567", ("%d.%m.%Y",), MARCH.replace(microsecond=123456)),
        ("2026-03-01 10:00 AM", ("%Y-%m-%d %I:%M %p",), MARCH),
    ],
)
def test_a_time_is_read_by_the_patterns_of_its_dialect(written, patterns, wanted):
    assert texts(Family.TIME, None, written, time_patterns=patterns) == [None, wanted]


def test_times_of_several_patterns_and_of_iso_are_read_side_by_side():
    written = ["1.3.2026 10:00", "2026-03-01T10:00", "03/13/2026", None]
    patterns = ("%d.%m.%Y %H:%M", "%m/%d/%Y")
    assert texts(Family.TIME, *written, time_patterns=patterns) == [MARCH, MARCH, datetime(2026, 3, 13), None]


def test_a_time_in_a_common_pattern_is_told_with_the_option_that_reads_it():
    told = refusal(Family.TIME, pa.array(["13.3.2026 8:05"]), knows_types=False)
    assert "(time_patterns: ['%d.%m.%Y %H:%M'])" in told
    told = refusal(Family.TIME, pa.array(["2/3/2026"]), knows_types=False)
    assert "(time_patterns: ['%m/%d/%Y'] or ['%d/%m/%Y'])" in told


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("2026-02-30", ()),
        ("1.3.2026", ()),
        ("2026-03-01T10:00:00Z", ()),
        ("20260301", ()),
        ("2026-03-01 10:00:00.12345678901", ()),
        ("29.2.2023", ("%d.%m.%Y",)),
        ("31.4.2026", ("%d.%m.%Y",)),
        ("1.3.26", ("%d.%m.%Y",)),
        ("2/3/2026", ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")),
        ("1.3.2026 13:00 PM", ("%d.%m.%Y", "%d.%m.%Y %I:%M %p")),
        ("1.3.2026 24:00", ("%d.%m.%Y", "%d.%m.%Y %H:%M")),
    ],
)
def test_a_text_that_is_no_one_time_is_refused_by_its_row(text, patterns):
    values = pa.array(["13.2.2026" if patterns else "2026-03-01", None, text])
    told = refusal(Family.TIME, values, knows_types=False, time_patterns=patterns)
    assert f"{text!r} in data row 3;" in told
    by_pattern = f", or as {' or '.join(patterns)} says" if patterns else ""
    assert f"in every row or in none{by_pattern}; " in told


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.array([253402300799], pa.timestamp("s")), datetime(9999, 12, 31, 23, 59, 59)),
        (pa.array([datetime(2262, 4, 12)], pa.timestamp("us")), datetime(2262, 4, 12)),
        (pa.array([1_001], pa.timestamp("ns", "Europe/Berlin")), datetime(1970, 1, 1, microsecond=1, tzinfo=UTC)),
        (pa.array([date(1600, 1, 1)]), datetime(1600, 1, 1)),
        (pa.array([date(9999, 1, 1)], pa.date64()), datetime(9999, 1, 1)),
    ],
)
def test_a_typed_time_is_that_time(values, wanted):
    assert typed(Family.TIME, values).to_pylist() == [wanted]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 2**62], pa.timestamp("s")),
        pa.array([0, 2**60], pa.timestamp("ms")),
        pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32()),
    ],
    ids=lambda values: str(values.type),
)
def test_a_typed_time_outside_the_range_is_refused_by_its_row(values):
    assert re.search(r"with the value \d+ in data row 2;", refusal(Family.TIME, values))


def test_a_zone_that_a_later_part_alone_names_is_refused_and_a_part_of_nulls_decides_nothing():
    read = column(Family.TIME, knows_types=False)
    read.read(pa.chunked_array([pa.array([None, ""], pa.string())]), row=1)
    read.read(pa.chunked_array([pa.array(["2026-03-01T10:00Z"])]), row=3)
    assert read.type == pa.timestamp("us", "UTC")
    with pytest.raises(UnreadableInputError, match=r"in data row 4; .* with a zone in every row or in none"):
        read.read(pa.chunked_array([pa.array(["2026-03-01T10:00"])]), row=4)


def test_what_was_trimmed_and_what_meant_nothing_is_counted_over_parts():
    read = column(Family.TEXT)
    for row in (1, 4):
        read.read(pa.chunked_array([pa.array([" a", "NULL", ""])]), row=row)
    assert (read.trimmed, read.null_words) == (2, 2)
