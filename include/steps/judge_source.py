"""Judge a file of orders by the contract: each row taken, or set aside with a reason.

What belongs here: one file, from its bytes to typed rows with verdicts and an account by day.
What does not: the lake, and what other files say of the same orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.adapters.files.tabular import TableFile
from include.adapters.sources import source_files
from include.adapters.sources.buckets import in_buckets
from include.adapters.sources.source_files import ROWS_AT_ONCE
from include.errors import MlopsError, UsageError, nearest
from include.quality import formats
from include.quality.sql import column, literal
from include.quality.verdict import KNOWN_AT, bucket_sql, failing_rows_sql, verdict_sql
from include.specs.sources import SourceSpec, parse_source
from include.specs.yaml_files import CONFIG_ROOT
from include.tables import ORDERS, QUARANTINE

ORDERS_SCHEMA, QUARANTINE_SCHEMA = ORDERS.arrow_schema(), QUARANTINE.arrow_schema()

_TAKEN, _SET_ASIDE = "taken", "set aside"
_COUNT = """
INSERT INTO counted
SELECT CAST(ordered_at AS DATE), _rule, count(*), count(*) FILTER (WHERE _rule IS NULL AND unit_price = 0)
FROM judged GROUP BY ALL
"""


@dataclass(frozen=True)
class DayAccount:
    """What a file had for one day; `rules` holds the rules that rows fell under, with their rows."""

    rows_in: int
    rows_published: int
    rules: dict[str, int]


@dataclass(frozen=True)
class JudgedFile:
    """A file's rows after the verdict.

    Attributes
    ----------
    source : str
        The file's identity.
    rows_in, rows_published : int
        Rows that the file has, and those of them that were taken.
    orders : tuple of Path
        Parquet files of the rows that were taken, in the columns of `ORDERS_SCHEMA`.
    quarantine : tuple of Path
        Parquet files of the rows that were set aside, in the columns of `QUARANTINE_SCHEMA`.
    days : dict of date to DayAccount
        The account by UTC day of order. It sums to the file: a row whose day is unknown, or outside
        the days of the rows that were taken, counts on the home day. Empty where there is no home day.
    rules : dict of str to int
        Rows set aside, by every rule of the contract, in its order.
    zero_price : int
        Rows that were taken and cost nothing.
    """

    source: str
    rows_in: int
    rows_published: int
    orders: tuple[Path, ...]
    quarantine: tuple[Path, ...]
    days: dict[date, DayAccount]
    rules: dict[str, int]
    zero_price: int


@dataclass(frozen=True)
class Judgement:
    """How files are judged: the format, the two times, and whether SQL's counts are checked by another library."""

    file_format: str
    as_of: datetime
    time_zone: str
    cross_check: bool
    partition: str | None


@lru_cache(maxsize=1)
def load_contract() -> SourceSpec:
    """Return the contract of this deployment.

    Raises
    ------
    SpecError
        If the file says something that isn't allowed.
    """
    path = CONFIG_ROOT / "contracts" / "orders.yaml"
    return parse_source(path.read_text(encoding="utf-8"), file=path.name)


def judge_file(file: TableFile, judgement: Judgement, engine: DuckDbCompute, folder: Path) -> JudgedFile:
    """Read a file and judge its rows, a bucket of orders at a time.

    Parameters
    ----------
    file : TableFile
        The file.
    judgement : Judgement
        How. With a `partition` the file is part of that night's delivery: it may have no rows, and
        the partition is its home day; otherwise the home day is the last day of a row that was taken.
    engine : DuckDbCompute
        Runs the contract.
    folder : Path
        An empty one, where the judged rows are left.

    Raises
    ------
    UsageError
        If the format or the time zone isn't known, or the file as a whole can't be taken.
    MlopsError
        If Great Expectations counts other failing rows than SQL, or DuckDB fails.
    """
    contract = load_contract()
    known = formats.file_columns(judgement.file_format, contract)
    opened = source_files.open_source(file, known, folder=folder, may_be_empty=judgement.partition is not None)
    source, names = opened.source, opened.schema.names
    typed = formats.typed_sql(
        judgement.file_format,
        contract,
        present=[column.name for column in known if column.name in names],
        naive=[field.name for field in opened.schema if field.type == pa.timestamp("us")],
        time_zone=judgement.time_zone,
    )
    identity = formats.identity(judgement.file_format, contract, present=names)
    (folder / _TAKEN).mkdir()
    (folder / _SET_ASIDE).mkdir()
    rows_in = 0
    with engine.open_session(purpose=f"the verdict on {file.name}") as con:
        _check_time_zone(con, judgement.time_zone)
        _prepare(con, contract)
        buckets = in_buckets(con, opened, bucket_sql(contract, typed), rows=ROWS_AT_ONCE, folder=folder)
        for number, bucket in enumerate(buckets):
            con.register("delivered", bucket)
            con.execute(f"CREATE OR REPLACE TABLE typed AS {typed}")
            if judgement.cross_check:
                _check_counts(con, contract, judgement.as_of, identity, source)
            verdict = verdict_sql(contract, as_of=judgement.as_of, identity=identity)
            con.execute(f"CREATE OR REPLACE TABLE judged AS {verdict}")
            rejected = _quarantine_sql(source, opened.schema, judgement.partition)
            _write(con, _orders_sql(contract), folder / _TAKEN / f"{number:03}.parquet")
            _write(con, rejected, folder / _SET_ASIDE / f"{number:03}.parquet")
            con.execute(_COUNT)
            rows_in += bucket.num_rows
            con.unregister("delivered")
        return _judged(con, contract, source, rows_in, judgement.partition, folder)


def _check_time_zone(con: duckdb.DuckDBPyConnection, time_zone: str) -> None:
    known = [name for (name,) in con.execute("SELECT name FROM pg_timezone_names()").fetchall()]
    if time_zone not in known:
        hint = nearest(time_zone, known)
        raise UsageError(f"time zone {time_zone!r} is not known; write an IANA name such as Europe/London{hint}")


def _check_counts(
    con: duckdb.DuckDBPyConnection, contract: SourceSpec, as_of: datetime, identity: Sequence[str], source: str
) -> None:
    from include.adapters.expectations.source_expectations import count_failing_rows

    [counts] = con.sql(failing_rows_sql(contract, as_of=as_of, identity=identity)).to_arrow_table().to_pylist()
    rows = con.sql("SELECT * EXCLUDE (_row) FROM typed").to_arrow_table()
    expected = count_failing_rows(contract, rows, as_of=as_of, identity=identity)
    differences = [f"{name}: {counts[name]} and {n}" for name, n in expected.items() if counts[name] != n]
    if differences:
        raise MlopsError(
            f"{source}: SQL and Great Expectations count other failing rows ({'; '.join(differences)}); nothing was "
            "published: the two readings of the contract must agree before its verdicts can be trusted"
        )


def _prepare(con: duckdb.DuckDBPyConnection, contract: SourceSpec) -> None:
    con.execute("CREATE TABLE reasons (rule VARCHAR, reason VARCHAR)")
    con.executemany("INSERT INTO reasons VALUES (?, ?)", [list(pair) for pair in contract.reasons.items()])
    con.execute("CREATE TABLE counted (day DATE, rule VARCHAR, rows BIGINT, zero_price BIGINT)")


def _write(con: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    con.execute(f"COPY ({sql}) TO {literal(str(path))} (FORMAT parquet)")


def _judged(
    con: duckdb.DuckDBPyConnection,
    contract: SourceSpec,
    source: str,
    rows_in: int,
    partition: str | None,
    folder: Path,
) -> JudgedFile:
    taken, set_aside = (tuple(sorted((folder / kind).iterdir())) for kind in (_TAKEN, _SET_ASIDE))
    rows_published, rows_quarantined = _count_rows(taken), _count_rows(set_aside)
    if rows_published + rows_quarantined != rows_in:
        raise MlopsError(
            f"{source}: {rows_in} rows came in, but {rows_published} were taken and "
            f"{rows_quarantined} set aside; nothing was published: report this with the file"
        )
    counts = dict(con.execute("SELECT rule, CAST(sum(rows) AS BIGINT) FROM counted GROUP BY rule").fetchall())
    [(zero_price,)] = con.execute("SELECT CAST(coalesce(sum(zero_price), 0) AS BIGINT) FROM counted").fetchall()
    rules = {rule.name: counts.get(rule.name, 0) for rule in contract.rules}
    return JudgedFile(source, rows_in, rows_published, taken, set_aside, _days(con, partition), rules, zero_price)


def _count_rows(paths: Sequence[Path]) -> int:
    return sum(pq.read_metadata(path).num_rows for path in paths)


def _orders_sql(contract: SourceSpec) -> str:
    expressions = {name: column(name) for name in contract.column_names}
    expressions |= {"line": "CAST(line AS BIGINT)", "quantity": "CAST(quantity AS BIGINT)", "received_at": KNOWN_AT}
    expressions["dt"] = "CAST(ordered_at AS DATE)"
    listed = ", ".join(f"{expressions[name]} AS {column(name)}" for name in ORDERS_SCHEMA.names)
    return f"SELECT {listed} FROM judged WHERE _rule IS NULL ORDER BY _row"


def _quarantine_sql(source: str, schema: pa.Schema, partition: str | None) -> str:
    fields = ", ".join(f"{column(field.name)} := {_as_json(field)}" for field in schema)
    delivered = literal(partition) if partition else "NULL"
    return f"""
SELECT {literal(source)} AS source, judged._row AS row_number, reasons.rule, reasons.reason,
  CASE WHEN year(judged.ordered_at) BETWEEN 1 AND 9999 THEN CAST(judged.ordered_at AS DATE) END AS dt,
  CAST({delivered} AS VARCHAR) AS delivered, CAST(to_json(struct_pack({fields})) AS VARCHAR) AS "row"
FROM judged JOIN delivered ON delivered._row = judged._row JOIN reasons ON reasons.rule = judged._rule
ORDER BY judged._row
"""


def _as_json(field: pa.Field) -> str:
    name = f"delivered.{column(field.name)}"
    if not pa.types.is_floating(field.type):
        return name
    # JSON has no infinity: it is written as a word.
    return f"CASE WHEN isfinite({name}) THEN to_json({name}) ELSE to_json(CAST({name} AS VARCHAR)) END"


def _days(con: duckdb.DuckDBPyConnection, partition: str | None) -> dict[date, DayAccount]:
    [(first, last)] = con.execute("SELECT min(day), max(day) FROM counted WHERE rule IS NULL").fetchall()
    home = date.fromisoformat(partition) if partition else last
    if home is None:
        return {}
    rows = con.execute(
        "SELECT CASE WHEN day BETWEEN $first AND $last THEN day ELSE $home END AS day, rule, CAST(sum(rows) AS BIGINT) "
        "FROM counted GROUP BY ALL",
        {"first": first or home, "last": last or home, "home": home},
    ).fetchall()
    # A file that is imported as a whole says of every day between its first and its last what it had;
    # a night's delivery says so of its own day only: late rows do not show that another night arrived.
    days = {home} if partition else {first + timedelta(days=n) for n in range((last - first).days + 1)}
    return _accounts(days, rows)


def _accounts(days: set[date], rows: Sequence[tuple[date, str | None, int]]) -> dict[date, DayAccount]:
    accounts: dict[date, dict[str | None, int]] = {day: {} for day in sorted(days | {day for day, _, _ in rows})}
    for day, rule, count in rows:
        accounts[day][rule] = count
    return {day: _account(counts) for day, counts in accounts.items()}


def _account(counts: dict[str | None, int]) -> DayAccount:
    rules = {rule: n for rule, n in sorted((r, n) for r, n in counts.items() if r is not None)}
    return DayAccount(sum(counts.values()), counts.get(None, 0), rules)
