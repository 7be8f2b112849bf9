"""Spark as the engine of feature SQL.

What belongs here: one statement run over named Arrow data by Spark. What does not: the statement, its
translation, and where the data comes from or goes to.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pyarrow as pa
import pyarrow.dataset as ds

from include.adapters.compute.duckdb_compute import DuckDbCompute, LocalParquet, Parameter, local_parquet
from include.adapters.compute.spark_sql import spark_sql
from include.errors import MlopsError
from include.settings import MEMORY_LIMIT, memory_bytes

if TYPE_CHECKING:
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame, SparkSession

# Enough that a core has the next when it has done one, few enough that their answers fit into memory.
_TASKS_OF_A_CORE = 2


class SparkCompute:
    """Feature SQL on Spark, on the cores of this machine.

    The statement is the one that DuckDB runs, translated; what the engines don't compute alike is refused. The
    session starts at the first statement and lives as long as the process.

    Parameters
    ----------
    memory_limit : str
        As ``Settings.memory_limit``: what Spark's heap may grow to.
    """

    def __init__(self, memory_limit: str = MEMORY_LIMIT) -> None:
        self.memory_limit = memory_limit

    def run_select(
        self,
        sql: str,
        relations: Mapping[str, pa.Table | ds.Dataset],
        *,
        purpose: str,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> pa.Table:
        """Run one SELECT on Arrow data and return its rows, with the columns and types that DuckDB gives.

        Parameters
        ----------
        sql : str
            DuckDB dialect, with ``$name`` parameters.
        relations : mapping of str to pyarrow.Table or pyarrow.dataset.Dataset
            What the statement's table names mean. The Parquet files of a local dataset are read by Spark itself,
            those that the dataset lists and no other; all else is handed over in memory.
        purpose : str
            What is computed, for error messages.
        parameters : mapping, optional
            Values of the statement's parameters.

        Raises
        ------
        MlopsError
            If DuckDB or Spark refuses the statement or fails, if the two would not compute the same, or if Java or
            PySpark isn't there.
        """
        schemas = {name: relation.schema for name, relation in relations.items()}
        # DuckDB, on no rows: a mistake is told in the words of the statement as it was written, and types are known.
        empty = {name: schema.empty_table() for name, schema in schemas.items()}
        checked = DuckDbCompute(self.memory_limit).run_select(sql, empty, purpose=purpose, parameters=parameters)
        translated, mentioned = spark_sql(sql, schemas, purpose=purpose, parameters=parameters)
        _require_installed(purpose)
        from py4j.protocol import Py4JError  # type: ignore[import-untyped]
        from pyspark.errors import PySparkException

        try:
            session = self._session.newSession()
            for name, relation in relations.items():
                _frame(session, relation, mentioned).createOrReplaceTempView(name)
            return _cast(session.sql(translated).toArrow(), checked.schema)
        except (PySparkException, Py4JError, pa.ArrowException) as err:
            raise MlopsError(f"{purpose} can't be computed by Spark: {str(err).strip().splitlines()[0]}") from err

    def map_in_order(
        self, work: Callable[[Any], Iterable[bytes]], items: Sequence[object], *, purpose: str
    ) -> Iterator[bytes]:
        """Yield what work gives for each item, in the items' order; the items of a few tasks of each core are held.

        Parameters
        ----------
        work : callable
            Is sent once to each worker, which has this project's code and this process's settings; it must pickle.
        items : sequence
            Each is a task of its own, and what JSON can hold.
        purpose : str
            What is computed, for error messages.

        Raises
        ------
        MlopsError
            If Spark or the work fails, or if Java or PySpark isn't there.
        """
        _require_installed(purpose)
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            context = self._session.sparkContext
            context.environment.update({name: value for name, value in os.environ.items() if _is_for_workers(name)})
            shared = context.broadcast(work)
            at_once = _TASKS_OF_A_CORE * context.defaultParallelism
            for first in range(0, len(items), at_once):
                told = [(number, json.dumps(item)) for number, item in enumerate(items[first : first + at_once])]
                rows = context.parallelize(told, len(told))
                frame = self._session.createDataFrame(rows, "number int, item string")
                answers = frame.mapInArrow(_answering(shared), "number int, place int, answer binary").toArrow()
                yield from answers.sort_by([("number", "ascending"), ("place", "ascending")])["answer"].to_pylist()
            shared.destroy()
        except (PySparkException, Py4JError, pa.ArrowException) as err:
            raise MlopsError(f"{purpose} can't be computed by Spark: {_last_line(err)}") from err

    @cached_property
    def _session(self) -> SparkSession:
        from pyspark.sql import SparkSession

        # Its bridge says goodbye at exit, when whoever captured the log may have closed it.
        logging.getLogger("py4j").setLevel(logging.WARNING)
        # Workers must be of this very Python, and nothing listens beyond this machine.
        os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = SparkSession.builder.master("local[*]").appName("mlops")
        for key, value in _configuration(self.memory_limit).items():
            builder = builder.config(key, value)
        return builder.getOrCreate()


def _answering(shared: Broadcast[Any]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def answer(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for row in batch.to_pylist():
                for place, made in enumerate(shared.value(json.loads(row["item"]))):
                    columns = [pa.array([row["number"]], pa.int32()), pa.array([place], pa.int32()), pa.array([made])]
                    yield pa.RecordBatch.from_arrays(columns, ["number", "place", "answer"])

    return answer


def _is_for_workers(name: str) -> bool:
    """Say whether a worker needs a variable: how it reaches the lake, and which specs there are; no database."""
    return name.startswith("AWS_") or name in ("MLOPS_HOME", "MLOPS_SPECS", "PYTHONPATH")


def _last_line(err: Exception) -> str:
    # Of a worker's traceback the last line is the error.
    lines = [line.strip() for line in str(err).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(err).__name__


def _configuration(memory_limit: str) -> dict[str, str]:
    # A local Spark has it all in one heap. It starts in 512 MB; nights were tried with no less than these.
    heap_mb = max(700, memory_bytes(memory_limit, total=psutil.virtual_memory().total) // 2**20)
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": f"{heap_mb}m",
        # A range of partitions is one result; its size is bounded by the heap alone.
        "spark.driver.maxResultSize": "0",
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 2)),
        # Listing a few hundred files is faster here than as a job of its own.
        "spark.sql.sources.parallelPartitionDiscovery.threshold": "100000",
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir()) / "mlops-spark-warehouse"),
    }


def _require_installed(purpose: str) -> None:
    try:
        import pyspark  # noqa: F401
    except ImportError as err:
        raise MlopsError(
            f"{purpose} can't be computed by Spark: pyspark is not installed; run `uv sync --group spark`, "
            "or set MLOPS_COMPUTE=duckdb"
        ) from err
    home = os.environ.get("JAVA_HOME")
    if not (shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")):
        where = f"JAVA_HOME={home} has none" if home else "there is none on PATH"
        raise MlopsError(
            f"{purpose} can't be computed by Spark: it needs Java 17 or 21 and {where}; install the JDK that "
            "packages.txt names (openjdk-17-jre-headless), or set MLOPS_COMPUTE=duckdb"
        )


def _frame(session: SparkSession, relation: pa.Table | ds.Dataset, mentioned: frozenset[str]) -> DataFrame:
    if isinstance(relation, ds.Dataset) and (files := local_parquet(relation)) is not None:
        return _frame_of_files(session, relation.schema, files)
    names = [name for name in relation.schema.names if name in mentioned or "*" in mentioned]
    # A table without columns has no rows to count.
    return _frame_of_rows(session, relation, names or relation.schema.names)


def _frame_of_rows(session: SparkSession, relation: pa.Table | ds.Dataset, names: list[str]) -> DataFrame:
    rows = relation.to_table(columns=names) if isinstance(relation, ds.Dataset) else relation.select(names)
    return session.createDataFrame(rows)


def _frame_of_files(session: SparkSession, schema: pa.Schema, files: LocalParquet) -> DataFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    # Spark's addresses are not percent-encoded.
    reader = session.read.schema(from_arrow_schema(schema)).option("basePath", f"file://{files.root}")
    return reader.parquet(*(f"file://{path}" for path in files.paths))


def _cast(rows: pa.Table, expected: pa.Schema) -> pa.Table:
    return rows.rename_columns(expected.names).cast(expected).combine_chunks()
