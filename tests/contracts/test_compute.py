"""The engines of feature SQL: one statement, the same rows, and a refusal where they can't be the same.

A new engine joins by one entry in `ENGINES`, under its word in ``MLOPS_COMPUTE``. What every engine keeps is in the
tests that ask for `engine`; what others than DuckDB, whose dialect the statements are in, are held to is in those that
ask for `other`. Tests that ask for neither are about the ways in which Spark could differ.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from include.adapters.compute import spark_compute as compute_spark
from include.adapters.compute.duckdb_compute import DuckDbCompute, Parameter
from include.adapters.compute.spark_compute import SparkCompute
from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.errors import MlopsError
from include.features.checks import expected_schema
from include.settings import ComputeEngine, Settings
from include.specs.groups import FeatureGroupSpec, load_feature_group
from tests.everyday import members
from tests.raw_orders import SCHEMA, line, orders, random_orders
from tests.real_data import require

GROUPS = ("customer_category_daily", "customer_daily", "order_risk", "product_daily")
START, END = "2023-11-01", "2024-02-15"

Engine = DuckDbCompute | SparkCompute


def make_spark() -> SparkCompute:
    if not shutil.which("java"):
        require("there is no Java on PATH (openjdk-17-jre-headless in packages.txt)")
    if find_spec("pyspark") is None:
        require("pyspark is not installed (uv sync --group spark)")
    return SparkCompute()


ENGINES: Mapping[ComputeEngine, Callable[[], Engine]] = {"duckdb": DuckDbCompute, "spark": make_spark}


@pytest.fixture(scope="module")
def engines() -> Callable[[ComputeEngine], Engine]:
    """Give each engine once for a module: some take seconds to start."""
    return cache(lambda name: ENGINES[name]())


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, engines: Callable[[ComputeEngine], Engine]) -> Engine:
    return engines(request.param)


@pytest.fixture(scope="module", params=[name for name in ENGINES if name != "duckdb"])
def other(request: pytest.FixtureRequest, engines: Callable[[ComputeEngine], Engine]) -> Engine:
    return engines(request.param)


@pytest.fixture(scope="module")
def spark(engines: Callable[[ComputeEngine], Engine]) -> Engine:
    return engines("spark")


@pytest.fixture(scope="module")
def raw() -> pa.Table:
    """Seeded orders of every kind, and what is easily taken wrongly."""
    received = datetime(2024, 1, 20, 7, 30, tzinfo=UTC)
    edges = orders(
        line("2023-12-31T23:59:59.999999", customer="midnight", order="m"),
        line("2024-01-01T00:00:00", customer="midnight", order="m", line=2, product_id=None),
        line("2024-01-02", customer="gift", unit_price=0.0),
        line("2024-01-03", customer="gift", unit_price=0.0),
        line("2024-01-03", customer="only-cancels", kind="cancellation", quantity=-1),
        line("2023-12-01", customer="late", received_at=received),
        line("2023-12-05", customer="late", kind="cancellation", quantity=-1, received_at=received),
        line("2022-12-01", customer="returns after a year"),
        line("2024-01-09", customer="returns after a year", country=None, product_id="it's \\ odd"),
        # Two nights without any order come before this one.
        line("2024-02-15T23:00", customer="last", unit_price=0.1, quantity=3),
    )
    seeded = random_orders(rows=1_500, customers=40, first_day="2023-01-01", days=405, seed=5)
    rows = pa.concat_tables([seeded, edges])
    # Of the first product a category has no name.
    category = pc.if_else(pc.equal(rows["product_id"], "p0"), None, rows["product_id"])
    return rows.set_column(rows.column_names.index("category"), "category", category)


def run(engine: Engine, sql: str, *, parameters: dict[str, Parameter] | None = None, **relations: object) -> pa.Table:
    return engine.run_select(sql, relations, purpose="feature group g", parameters=parameters)  # type: ignore[arg-type]


def build(engine: Engine, spec: FeatureGroupSpec, raw: pa.Table | ds.Dataset, start: str, end: str) -> pa.Table:
    sql = spec.sql_path.read_text(encoding="utf-8")
    return run(engine, sql, orders=raw, parameters={"start_day": start, "end_day": end})


def test_every_engine_that_settings_allow_is_in_the_suite() -> None:
    assert set(ENGINES) == set(get_args(ComputeEngine))
    chosen = {type(Deployment(replace(Settings.from_env({}), compute=name)).compute) for name in ENGINES}
    assert chosen == set(get_args(Engine))


@pytest.fixture(scope="module", params=members(GROUPS, daily=["customer_daily", "order_risk"]))
def built(request: pytest.FixtureRequest, other: Engine, raw: pa.Table) -> tuple[FeatureGroupSpec, pa.Table]:
    """A shipped group's range, by another engine than DuckDB."""
    spec = load_feature_group(request.param)
    return spec, build(other, spec, raw, START, END)


def test_every_group_has_the_same_rows_on_every_engine(built: tuple[FeatureGroupSpec, pa.Table], raw: pa.Table) -> None:
    spec, by_other = built

    by_duckdb = build(DuckDbCompute(), spec, raw, START, END)

    assert by_duckdb.num_rows > 150
    assert by_other.schema == by_duckdb.schema == expected_schema(spec)
    # Exact, floats too: money is summed as DECIMAL, and every division is one of the same two doubles.
    for name in by_duckdb.column_names:
        assert by_other[name].to_pylist() == by_duckdb[name].to_pylist(), name


def test_on_every_engine_a_range_gives_the_rows_of_its_days(
    built: tuple[FeatureGroupSpec, pa.Table], other: Engine, raw: pa.Table
) -> None:
    spec, whole = built
    day = "2024-01-20"

    alone = build(other, spec, raw, day, day)

    assert alone.num_rows > 0
    assert whole.filter(pc.field("dt") == date.fromisoformat(day)).equals(alone)


def test_no_orders_give_no_rows_of_the_right_schema(engine: Engine) -> None:
    spec = load_feature_group("customer_daily")

    found = build(engine, spec, SCHEMA.empty_table(), START, END)

    assert (found.num_rows, found.schema) == (0, expected_schema(spec))


def test_a_delta_table_gives_the_rows_that_are_there_and_not_those_that_were_replaced(
    engine: Engine, tmp_path: Path
) -> None:
    lake = LakeAdapter((tmp_path / "a lake").as_uri())
    first = orders(line("2024-01-01", customer="old"), line("2024-01-02", customer="kept"), line("2024-01-03"))
    lake.replace("raw/orders", first, keys=["2024-01-01", "2024-01-02", "2024-01-03"])
    lake.replace("raw/orders", orders(line("2024-01-01", customer="new")), keys=["2024-01-01"])

    sql = "SELECT customer_id, dt, ordered_at FROM orders WHERE dt < CAST($end AS DATE) ORDER BY dt"
    found = run(engine, sql, orders=lake.dataset("raw/orders"), parameters={"end": "2024-01-03"})

    assert found.to_pylist() == [
        {"customer_id": "new", "dt": date(2024, 1, 1), "ordered_at": datetime(2024, 1, 1, tzinfo=UTC)},
        {"customer_id": "kept", "dt": date(2024, 1, 2), "ordered_at": datetime(2024, 1, 2, tzinfo=UTC)},
    ]


def test_an_older_version_of_a_delta_table_is_read_as_it_was(engine: Engine, tmp_path: Path) -> None:
    lake = LakeAdapter(tmp_path.as_uri())
    first = lake.replace("raw/orders", orders(line("2024-01-01", customer="old")), keys=["2024-01-01"])
    lake.replace("raw/orders", orders(line("2024-01-01", customer="new")), keys=["2024-01-01"])

    dataset = lake.dataset("raw/orders", version=first.version)

    assert run(engine, "SELECT customer_id FROM orders", orders=dataset)["customer_id"].to_pylist() == ["old"]


def test_spark_reads_the_files_of_a_local_table_itself(
    spark: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LakeAdapter((tmp_path / "a lake of it's own").as_uri())
    lake.replace("raw/orders", orders(line("2024-01-01"), line("2024-01-02")), keys=["2024-01-01", "2024-01-02"])
    handed_over: list[object] = []
    monkeypatch.setattr(compute_spark, "_frame_of_rows", lambda *args: handed_over.append(args))

    found = run(spark, "SELECT COUNT(*) AS n FROM orders", orders=lake.dataset("raw/orders"))

    assert (found["n"].to_pylist(), handed_over) == ([2], [])


def test_a_partition_without_files_and_a_dataset_in_memory_are_read(engine: Engine, tmp_path: Path) -> None:
    lake = LakeAdapter(tmp_path.as_uri())
    lake.replace("raw/orders", orders(line("2024-01-01")), keys=["2024-01-01"])
    lake.replace("raw/orders", orders(), keys=["2024-01-01"])
    memory = ds.dataset(orders(line("2024-01-01"), line("2024-01-02")))

    sql = "SELECT COUNT(*) AS files, (SELECT COUNT(*) FROM b) AS memory FROM a"

    assert run(engine, sql, a=lake.dataset("raw/orders"), b=memory).to_pylist() == [{"files": 0, "memory": 2}]


def test_words_that_mean_two_things_are_computed_alike(engine: Engine) -> None:
    rows = pa.table(
        {
            "n": pa.array([-7, 7, None], pa.int64()),
            "placed": pa.array([datetime(2024, 1, 1, 23, 59, 59, 123456, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC")),
        }
    )
    sql = """
        SELECT n, n // 2 AS half, n / 2 AS exact, n / 3.0 AS third,
            GREATEST(n, NULL, 1) AS greatest, LEAST(n, 1) AS least, COALESCE(n, 0) AS filled, NULLIF(n, 7) AS unless,
            n IS DISTINCT FROM 7 AS other, n IN (7, 8) AS one_of,
            DATE_DIFF('day', placed, placed + INTERVAL 1 SECOND) AS midnights,
            DATE_DIFF('microsecond', placed, CAST($until AS TIMESTAMPTZ)) AS microseconds,
            EXTRACT(HOUR FROM placed) AS hour, CAST(placed AS DATE) + 1 AS tomorrow,
            CAST(CAST(placed AS DATE) AS TIMESTAMPTZ) AS midnight,
            SUM(n) OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running,
            ROW_NUMBER() OVER (ORDER BY n DESC) AS place, LAG(n, 1, 0) OVER (ORDER BY n) AS previous
        FROM rows ORDER BY n
    """

    found = run(engine, sql, rows=rows, parameters={"until": datetime(2024, 1, 2, tzinfo=UTC)}).to_pylist()

    shared = {
        "midnights": 1,
        "microseconds": 876_544,
        "hour": 23,
        "tomorrow": date(2024, 1, 2),
        "midnight": datetime(2024, 1, 1, tzinfo=UTC),
    }
    seven = {"half": 3, "exact": 3.5, "third": 7 / 3, "greatest": 7, "least": 1, "filled": 7, "unless": None}
    minus = {"half": -3, "exact": -3.5, "third": -7 / 3, "greatest": 1, "least": -7, "filled": -7, "unless": -7}
    null = {"half": None, "exact": None, "third": None, "greatest": 1, "least": 1, "filled": 0, "unless": None}
    assert found == [
        {"n": -7, **minus, "other": True, "one_of": False, **shared, "running": -7, "place": 2, "previous": 0},
        {"n": 7, **seven, "other": False, "one_of": True, **shared, "running": 0, "place": 1, "previous": -7},
        {"n": None, **null, "other": True, "one_of": None, **shared, "running": 0, "place": 3, "previous": 7},
    ]


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("it's \\ odd", pa.string()),
        (7, pa.int32()),
        (0.1, pa.float64()),
        (date(2024, 2, 29), pa.date32()),
        (datetime(2024, 2, 29, 1, 2, 3, 456789, tzinfo=UTC), pa.timestamp("us", "UTC")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_parameter_keeps_its_value_and_type(engine: Engine, value: Parameter, type_: pa.DataType) -> None:
    found = run(engine, "SELECT $value AS value", parameters={"value": value})

    assert (found["value"].to_pylist(), found.schema.field("value").type) == ([value], type_)


@pytest.mark.parametrize(
    "sql", ["SELECT absent FROM a", "SELEC 1", "SELECT CAST(s AS INTEGER) AS n FROM a", "SELECT $x AS x"]
)
def test_a_bad_statement_is_an_error_that_says_what_was_computed(engine: Engine, sql: str) -> None:
    with pytest.raises(MlopsError, match="feature group g"):
        run(engine, sql, a=pa.table({"s": ["x"]}))


@pytest.mark.parametrize(
    "expression",
    [
        "PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY n)",
        "QUANTILE_CONT(n, 0.5)",
        "MEDIAN(n)",
        "APPROX_COUNT_DISTINCT(n)",
        "AVG(n)",
        "STDDEV(n)",
        "ARG_MAX(n, x)",
        "CAST(SUM(x) AS BIGINT)",
        "CAST(SUM(x) AS VARCHAR)",
        "SUM(x // 2)",
        "MAX(DATE_DIFF('month', d, d))",
        "MAX(EXTRACT(DOW FROM d))",
        "STRING_AGG(s, ',')",
        "MAX(strftime(d, '%Y'))",
    ],
)
def test_spark_refuses_what_it_would_compute_otherwise(expression: str) -> None:
    """No Java is needed to refuse."""
    rows = pa.table({"n": [1, 2], "x": [1.5, 2.5], "d": [date(2024, 1, 1)] * 2, "s": ["a", "b"]})
    sql = f"SELECT {expression} AS value FROM a"
    assert run(DuckDbCompute(), sql, a=rows).num_rows == 1

    with pytest.raises(
        MlopsError, match=r"feature group g can't be computed by Spark with the same values: .*allowed:"
    ):
        run(SparkCompute(), sql, a=rows)


def test_what_fails_on_the_rows_themselves_is_an_error(spark: Engine) -> None:
    huge = pa.table({"n": [2**62, 2**62, 2**62]})

    with pytest.raises(MlopsError, match="feature group g can't be computed by Spark"):
        run(spark, "SELECT SUM(n) AS total FROM a", a=huge)


def test_without_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if find_spec("pyspark") is None:
        require("pyspark is not installed (uv sync --group spark)")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MlopsError, match=r"Java 17 or 21 .* none on PATH; .*packages\.txt.*openjdk-17-jre-headless"):
        run(SparkCompute(), "SELECT 1 AS one")


def test_without_pyspark_the_error_says_which_group_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)

    with pytest.raises(MlopsError, match=r"pyspark is not installed; run `uv sync --group spark`"):
        run(SparkCompute(), "SELECT 1 AS one")


def test_runs_do_not_see_one_anothers_tables(engine: Engine) -> None:
    run(engine, "SELECT n FROM mine", mine=pa.table({"n": [1]}))

    with pytest.raises(MlopsError, match="mine"):
        run(engine, "SELECT n FROM mine")


def test_days_and_hours_of_a_lake_in_another_time_zone_are_utc(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    at = datetime(2024, 7, 1, 0, 30, tzinfo=UTC)
    rows = pa.table({"placed": pa.array([at, at + timedelta(hours=1)], pa.timestamp("us", "UTC"))})

    found = run(
        engine, "SELECT MIN(CAST(placed AS DATE)) AS day, MIN(EXTRACT(HOUR FROM placed)) AS hour FROM rows", rows=rows
    )

    assert found.to_pylist() == [{"day": date(2024, 7, 1), "hour": 0}]
