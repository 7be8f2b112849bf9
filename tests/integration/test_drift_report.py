from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from include.cli.drift import drift
from include.errors import RefusedError, UnreadableInputError, UsageError
from include.steps.report_drift import report_drift
from tests.real_data import real_data

FEATURE_KEYS = [
    "psi",
    "psi_expected",
    "psi_pvalue",
    "ks",
    "wasserstein",
    "wasserstein_normalised",
    "missing_reference",
    "missing_current",
    "outside_range",
    "kind",
    "chi2",
    "verdict",
]


def make_rows(rows: int = 600, *, seed: int = 0, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "amount": rng.normal(10 + shift, 1, rows),
            "orders": rng.poisson(0.7, rows),
            "country": rng.choice(["FR", "DE", "UK"], rows),
            "is_gift": rng.random(rows) < 0.2,
            "seen_at": pd.Timestamp("2011-01-01", tz="UTC"),
        }
    )


def write(path: Path, rows: pd.DataFrame) -> Path:
    if path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_parquet(path, index=False)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(drift, ["report", *map(str, arguments)])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return (
        write(tmp_path / "reference.parquet", make_rows()),
        write(tmp_path / "current.csv", make_rows(seed=1, shift=2)),
    )


def test_json_has_the_promised_keys_and_nothing_else(pair: tuple[Path, Path]) -> None:
    result = run("--reference", pair[0], "--current", pair[1], "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert list(report) == ["reference_rows", "current_rows", "features"]
    assert list(report["features"]) == ["amount", "orders", "country", "is_gift"]
    assert [list(feature) for feature in report["features"].values()] == [FEATURE_KEYS] * 4
    assert report["features"]["amount"]["verdict"] == "significant"
    assert {report["features"][name]["verdict"] for name in ("orders", "country", "is_gift")} == {"stable"}
    assert "seen_at" in result.stderr


def test_a_number_has_ks_and_text_has_chi_square(pair: tuple[Path, Path]) -> None:
    features = report_drift(*pair).to_json()["features"]
    assert set(features["amount"]["ks"]) == {"statistic", "pvalue"}
    assert (features["amount"]["kind"], features["amount"]["chi2"]) == ("numeric", None)
    assert features["amount"]["wasserstein"] == pytest.approx(2, abs=0.2)
    assert set(features["country"]["chi2"]) == {"statistic", "pvalue"}
    assert (features["country"]["kind"], features["country"]["ks"]) == ("categorical", None)
    assert features["country"]["wasserstein"] is None


def test_parquet_and_csv_of_the_same_rows_give_the_same_report(tmp_path: Path) -> None:
    rows = make_rows()
    rows.loc[:50, ["amount", "country"]] = None
    other = write(tmp_path / "other.parquet", make_rows(seed=3))
    reports = [report_drift(other, write(tmp_path / f"same{end}", rows)).to_json() for end in (".parquet", ".csv")]
    assert reports[0] == reports[1]
    assert reports[0]["features"]["country"]["missing_current"] == pytest.approx(51 / 600)


CODES = [f"{n % 20:03}" for n in range(600)]


def codes(path: Path, values: list[Any], **columns: Any) -> Path:
    return write(path, pd.DataFrame({"code": values, **columns}))


def test_codes_with_leading_zeros_are_text_in_a_csv_as_in_parquet(tmp_path: Path) -> None:
    files = [codes(tmp_path / f"codes{end}", CODES) for end in (".parquet", ".csv")]
    reports = [report_drift(one, other).to_json() for one in files for other in files]
    assert reports[0]["features"]["code"]["kind"] == "categorical"
    assert all(report == reports[0] for report in reports)


def test_codes_of_one_csv_are_text_in_the_other_too_where_none_begins_with_zero(tmp_path: Path) -> None:
    with_zeros, without = codes(tmp_path / "a.csv", CODES), codes(tmp_path / "b.csv", [f"1{code}" for code in CODES])
    for pair in ((with_zeros, without), (without, with_zeros)):
        found = report_drift(*pair).to_json()["features"]["code"]
        assert (found["kind"], found["verdict"], found["outside_range"]) == ("categorical", "schema", 1.0)


def test_a_csv_of_whole_numbers_is_text_where_the_parquet_file_says_so(tmp_path: Path) -> None:
    texts, numbers = codes(tmp_path / "a.parquet", ["75001"] * 60), codes(tmp_path / "b.csv", [75001] * 60)
    for pair in ((texts, numbers), (numbers, texts)):
        assert report_drift(*pair).to_json()["features"]["code"]["verdict"] == "stable"


def test_numbers_with_leading_zeros_are_numbers_where_the_parquet_file_says_so(tmp_path: Path) -> None:
    months, padded = codes(tmp_path / "a.parquet", [1, 2, 12] * 50), codes(tmp_path / "b.csv", ["01", "02", "12"] * 50)
    for pair in ((months, padded), (padded, months)):
        found = report_drift(*pair).to_json()["features"]["code"]
        assert (found["kind"], found["verdict"]) == ("numeric", "stable")


@pytest.mark.parametrize(
    "texts", [["1E-05", "2.5"], ["+7", "8"], [".5", "1."], ["0", "0.5"], ["-0.5", "1e5"], ["0e1", "NA"]]
)
def test_a_number_is_a_number_however_it_is_written(tmp_path: Path, texts: list[str]) -> None:
    path = codes(tmp_path / "a.csv", texts * 60)
    assert report_drift(path, path).to_json()["features"]["code"]["kind"] == "numeric"


@pytest.mark.parametrize("end", [".csv", ".parquet"])
def test_a_column_that_is_not_asked_for_is_in_nobodys_way(tmp_path: Path, end: str) -> None:
    path = codes(tmp_path / f"a{end}", CODES, nested=[[1]] * 600)
    assert [column.drift.feature for column in report_drift(path, path, columns=["code", "code"]).columns] == ["code"]


def test_found_drift_is_done_and_a_no_only_on_request(pair: tuple[Path, Path]) -> None:
    assert run("--reference", pair[0], "--current", pair[1]).exit_code == 0
    refused = run("--reference", pair[0], "--current", pair[1], "--fail-on", "significant", "--json")
    assert isinstance(refused.exception, RefusedError)
    assert "1 of 4 columns: amount" in str(refused.exception)
    assert json.loads(refused.stdout)["features"]["amount"]["verdict"] == "significant"
    assert run("--reference", pair[0], "--current", pair[0], "--fail-on", "significant").exit_code == 0


@pytest.mark.parametrize("rows", [0, 30])
def test_where_nothing_could_be_judged_a_gate_does_not_pass(pair: tuple[Path, Path], tmp_path: Path, rows: int) -> None:
    few = write(tmp_path / "few.parquet", make_rows().head(rows))
    assert run("--reference", pair[0], "--current", few).exit_code == 0
    refused = run("--reference", pair[0], "--current", few, "--fail-on", "significant").exception
    assert isinstance(refused, RefusedError)
    assert str(refused).startswith(f"no column could be judged, of {rows} rows: ")


@pytest.mark.parametrize("extension", [".parquet", ".csv"])
def test_a_file_without_rows_gives_no_verdict(tmp_path: Path, extension: str) -> None:
    reference = write(tmp_path / "reference.parquet", make_rows())
    empty = write(tmp_path / f"empty{extension}", make_rows().iloc[:0])
    for feature in report_drift(reference, empty).to_json()["features"].values():
        assert feature["verdict"] == "insufficient"
        assert feature["reason"] == "the window has 0 rows, below 50"
        assert {feature[key] for key in ("psi", "psi_pvalue", "ks", "chi2", "missing_current")} == {None}


def test_columns_are_judged_as_asked(pair: tuple[Path, Path]) -> None:
    report = report_drift(*pair, columns=["country", "amount"])
    assert [column.drift.feature for column in report.columns] == ["country", "amount"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["amuont"], "no column 'amuont'.*did you mean 'amount'"),
        (["seen_at"], "column 'seen_at' of the reference file is timestamp"),
    ],
)
def test_a_column_that_cannot_be_judged_is_refused_by_name(
    pair: tuple[Path, Path], columns: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        report_drift(*pair, columns=columns)


@pytest.mark.parametrize("columns", [(), ("--columns", "amount,orders")], ids=["all", "asked"])
def test_a_column_that_is_gone_is_told_with_all_that_are_there_and_the_nearest(
    tmp_path: Path, columns: tuple[str, ...]
) -> None:
    rows = make_rows().rename(columns={"amount": "Amount "})
    asked = ["--reference", write(tmp_path / "reference.csv", make_rows())]
    asked += ["--current", write(tmp_path / "current.csv", rows), *columns, "--json"]
    assert json.loads(run(*asked).stdout)["features"]["amount"]["reason"] == (
        f"the window has no column 'amount'; it has {', '.join(rows.columns)}; did you mean 'Amount '?"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.assign(amount="n. a."), "holds text where the reference holds num"),
        (
            lambda rows: rows.assign(amount=[*rows["amount"][:-1], "n. a."]),
            "holds text where the reference holds num",
        ),
        (lambda rows: rows.assign(amount=rows["seen_at"]), "the column is timestamp.* where the reference has double"),
        (lambda rows: rows.drop(columns="amount"), "the window has no column 'amount'; it has orders"),
    ],
    ids=["text", "one_text", "times", "gone"],
)
@pytest.mark.parametrize("extension", [".parquet", ".csv"])
@pytest.mark.parametrize("columns", [(), ("--columns", "amount,orders")], ids=["all", "asked"])
def test_a_column_that_is_another_in_the_other_file_is_schema_drift(
    tmp_path: Path, change: Any, said: str, extension: str, columns: tuple[str, ...]
) -> None:
    reference = write(tmp_path / "reference.parquet", make_rows())
    rows = change(make_rows())
    if extension == ".parquet" and "amount" in rows and rows["amount"].dtype == object:
        rows["amount"] = rows["amount"].astype(str)
    asked = ["--reference", reference, "--current", write(tmp_path / f"current{extension}", rows), *columns]
    judged = json.loads(run(*asked, "--json").stdout)["features"]
    assert judged["amount"]["verdict"] == "schema"
    assert re.search(said, judged["amount"]["reason"])
    assert judged["orders"]["verdict"] == "stable"
    assert f"another schema in 1 of {len(judged)} columns: amount" in str(
        run(*asked, "--fail-on", "significant").exception
    )


def test_times_that_became_numbers_are_schema_drift(tmp_path: Path) -> None:
    reference = write(tmp_path / "reference.parquet", make_rows())
    current = write(tmp_path / "current.parquet", make_rows().assign(seen_at=1.5))
    judged = report_drift(reference, current).to_json()["features"]["seen_at"]
    assert (judged["verdict"], judged["psi"]) == ("schema", None)


def test_a_file_of_32_bits_is_its_own_with_64(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"price": np.round(rng.uniform(0, 9, 600), 1), "at": 1.7e9 + rng.uniform(0, 3_600, 600)})
    files = [write(tmp_path / f"{kind}.parquet", rows.astype(kind)) for kind in ("float64", "float32")]
    files += [write(tmp_path / "float32.csv", rows.astype("float32")), write(tmp_path / "float64.csv", rows)]
    wide, narrow, *texts = files
    for other in (wide, narrow, *texts):
        for pair in ((narrow, other), (other, narrow)):
            for judged in report_drift(*pair).to_json()["features"].values():
                found = (judged["verdict"], judged["psi"], judged["ks"]["statistic"], judged["wasserstein"])
                assert found == ("stable", 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("value", "share"), [(1e6, 0.12), (np.inf, 0.09), (20.0, 0.15)], ids=["huge", "infinite", "out"]
)
def test_rows_out_of_range_fail_where_shifts_do(tmp_path: Path, value: float, share: float) -> None:
    rows = make_rows(seed=1)
    rows.loc[: int(share * len(rows)) - 1, "amount"] = value
    files = (write(tmp_path / "reference.parquet", make_rows()), write(tmp_path / "current.parquet", rows))
    refused = run("--reference", files[0], "--current", files[1], "--fail-on", "significant", "--json")
    assert isinstance(refused.exception, RefusedError)
    judged = json.loads(refused.stdout)["features"]["amount"]
    assert (judged["verdict"], judged["outside_range"]) == ("significant", pytest.approx(share, abs=0.002))
    assert "beyond the reference's range" in judged["reason"]


def test_files_without_a_common_column_are_refused(tmp_path: Path) -> None:
    left, right = (write(tmp_path / f"{name}.csv", pd.DataFrame({name: [1.0]})) for name in ("a", "b"))
    with pytest.raises(UsageError, match="no column of numbers or text in common"):
        report_drift(left, right)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("absent.csv", None),
        ("empty.csv", b""),
        ("empty.parquet", b""),
        ("garbage.parquet", b"PAR1 no"),
        ("ragged.csv", b"amount,orders\n1,2\n3\n"),
        ("twice.csv", b"amount,amount\n1,2\n"),
        ("rows.xlsx", b"PK"),
    ],
)
def test_a_file_that_cannot_be_taken_is_a_usage_error(tmp_path: Path, name: str, content: bytes | None) -> None:
    reference = write(tmp_path / "reference.parquet", make_rows())
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableInputError, match=name):
        report_drift(reference, path)


def test_a_truncated_parquet_file_is_a_usage_error(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", make_rows())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableInputError, match=r"rows\.parquet"):
        report_drift(path, path)


def test_the_table_names_every_column_and_verdict(pair: tuple[Path, Path]) -> None:
    lines = run("--reference", pair[0], "--current", pair[1]).stdout.splitlines()
    assert lines[0] == "600 rows against 600 of the reference"
    assert [line.split()[:2] for line in lines[2:]] == [
        ["amount", "significant"],
        ["orders", "stable"],
        ["country", "stable"],
        ["is_gift", "stable"],
    ]


def test_the_christmas_closure_is_found_in_the_real_log(tmp_path: Path) -> None:
    features = pd.read_parquet(real_data("peer_runs/online_retail_features_monthly.parquet"))
    months = {month: rows for month, rows in features.groupby(features["event_timestamp"].dt.strftime("%Y-%m"))}
    reference = write(tmp_path / "april.parquet", months["2011-04"])
    report = report_drift(reference, write(tmp_path / "january.csv", months["2011-01"])).to_json()["features"]
    assert report["total_orders_30d"]["verdict"] == "significant"
    assert report["avg_order_value"]["verdict"] == "stable"
    assert report["customer_id"]["verdict"] == "insufficient"


def test_the_page_has_what_the_json_has_the_worst_first_and_a_name_is_no_markup(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    reference, current = make_rows(), make_rows(seed=1, shift=2.0).assign(country=7)
    for rows in (reference, current):
        rows[hostile] = rows["orders"] * 1.5
    files = write(tmp_path / "reference.parquet", reference), write(tmp_path / "current.parquet", current)
    page = tmp_path / "drift.html"
    told = json.loads(run("--reference", files[0], "--current", files[1], "--html", page, "--json").stdout)
    text = page.read_text()
    shown = re.findall(r'data-column="(.*?)" data-verdict="(\w+)"', text)
    assert dict((unescape(name), verdict) for name, verdict in shown) == {
        name: column["verdict"] for name, column in told["features"].items()
    }
    assert [verdict for _, verdict in shown][:2] == ["schema", "significant"]
    assert hostile not in text
    assert not re.search(r"(src|href)=|<script|url\(", text)


def test_the_same_numbers_as_decimals_are_the_same(tmp_path: Path) -> None:
    """A database writes a price as DECIMAL(10, 2), a spreadsheet as a double; two of three prices 19.99."""
    prices = np.round(np.random.default_rng(0).lognormal(2, 0.5, 600), 2)
    prices[:400] = 19.99
    doubles = pa.table({"price": prices})
    decimals = pa.table({"price": pa.array([Decimal(str(price)) for price in prices], pa.decimal128(10, 2))})
    files = [tmp_path / "doubles.parquet", tmp_path / "decimals.parquet"]
    for path, rows in zip(files, (doubles, decimals), strict=True):
        pq.write_table(rows, path)
    for reference, current in (files, files[::-1]):
        (column,) = report_drift(reference, current).columns
        assert (column.drift.psi, column.drift.verdict, column.numeric.ks.statistic) == (0.0, "stable", 0.0)


DAYS = pa.array(np.array(["2011-01-01"] * 600, dtype="datetime64[D]"))
MIDNIGHTS = DAYS.cast(pa.timestamp("us"))
TIMES = pc.add(MIDNIGHTS, pa.scalar(timedelta(hours=13)))


@pytest.mark.parametrize(
    ("before", "after", "is_changed"),
    [
        (DAYS, TIMES, True),
        (TIMES, DAYS, True),
        (DAYS, MIDNIGHTS, False),
        (MIDNIGHTS, DAYS, False),
        (TIMES, MIDNIGHTS, False),
        (DAYS, TIMES.cast(pa.timestamp("us", tz="UTC")), True),
        (DAYS, MIDNIGHTS.cast(pa.timestamp("us", tz="UTC")).dictionary_encode(), False),
        (DAYS, pa.nulls(600, pa.timestamp("us")), False),
        (DAYS, TIMES.cast(pa.time64("us")), True),
        (TIMES, pa.array([[1]] * 600), True),
        (pa.array([[1]] * 600), pa.array([[1, 2]] * 600, pa.large_list(pa.int8())), False),
    ],
    ids=["days became times", "times became days", "midnights", "days of midnights", "times at midnight", "zone",
         "midnights of a zone", "nothing", "times of day", "lists", "other lists"],
)  # fmt: skip
def test_days_that_became_times_are_a_schema_and_midnights_are_days(
    tmp_path: Path, before: pa.Array, after: pa.Array, is_changed: bool
) -> None:
    """A day that has a time now joins with no day, and a file says midnight of what another one calls a day."""
    files = [tmp_path / "before.parquet", tmp_path / "after.parquet"]
    for path, column in zip(files, (before, after), strict=True):
        pq.write_table(pa.table({"amount": np.arange(600.0), "seen_on": column}), path)
    report = report_drift(*files)
    found = {column.drift.feature: column.drift for column in report.columns}
    assert ("seen_on" in found, "seen_on" in report.left_out) == (is_changed, not is_changed)
    if is_changed:
        assert (found["seen_on"].verdict, found["seen_on"].psi) == ("schema", None)
        types = [pq.read_schema(path).field("seen_on").type for path in files]
        assert found["seen_on"].reason == f"the column is {types[1]} where the reference has {types[0]}"


def test_a_column_of_times_that_is_gone_is_a_schema_and_is_counted(tmp_path: Path) -> None:
    rows = make_rows()
    before, after = write(tmp_path / "a.parquet", rows), write(tmp_path / "b.parquet", rows.drop(columns="seen_at"))
    done = run("--reference", before, "--current", after, "--json", "--fail-on", "significant")
    found = json.loads(done.stdout)["features"]["seen_at"]
    assert (done.exit_code, found["verdict"]) == (1, "schema")
    assert found["reason"].startswith("the window has no column 'seen_at', of timestamp[")
