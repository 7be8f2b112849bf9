"""DuckDB as the engine of feature SQL.

What belongs here: one statement run over named Arrow data. What does not: the statement, and where
the data comes from or goes to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as fs

from include.adapters.compute.duckdb_session import (
    close_to_files,
    open_closed_session,
    open_own_session,
    open_session,
)
from include.errors import UsageError
from include.quality.sql import columns, literal
from include.settings import MEMORY_LIMIT

Parameter: TypeAlias = str | int | float | date | datetime | None

# An interrupt that comes before the statement has begun is lost.
_PATIENCE_S = 0.1
# What no row can be blamed for: to try again is pointless.
_MISWRITTEN = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)


class DuckDbCompute:
    """Feature SQL on DuckDB: one process, every core, spilling to disk where memory ends.

    Parameters
    ----------
    memory_limit : str
        As ``Settings.memory_limit``.
    """

    def __init__(self, memory_limit: str = MEMORY_LIMIT) -> None:
        self.memory_limit = memory_limit

    def open_session(self, *, purpose: str) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Open a session for several statements; as `include.adapters.compute.duckdb_session.open_session`."""
        return open_session(purpose=purpose, memory_limit=self.memory_limit)

    def run_select(
        self,
        sql: str,
        relations: Mapping[str, pa.Table | ds.Dataset],
        *,
        purpose: str,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> pa.Table:
        """Run one SELECT on Arrow data and return its rows.

        The statement sees `relations` and nothing else: no file, no Python variable, no extension that would have to
        be downloaded. It can read, and neither write nor change a setting.

        Parameters
        ----------
        sql : str
            DuckDB dialect, with ``$name`` parameters.
        relations : mapping of str to pyarrow.Table or pyarrow.dataset.Dataset
            What the statement's table names mean. The Parquet files of a local dataset are read by DuckDB itself,
            those that the dataset lists and no other; all else is scanned through Arrow.
        purpose : str
            What is computed, for error messages, e.g. ``"feature group customer_daily"``.
        parameters : mapping, optional
            Values of the statement's parameters.

        Raises
        ------
        UsageError
            If it is not one SELECT, or names what is not there.
        MlopsError
            If DuckDB refuses it for another reason, or fails.
        """
        in_memory = all(isinstance(relation, pa.Table) for relation in relations.values())
        opened = open_closed_session if in_memory else open_own_session
        with opened(purpose=purpose, memory_limit=self.memory_limit) as connection:
            files = [path for name, relation in relations.items() for path in declare(connection, name, relation)]
            if not in_memory:
                close_to_files(connection, but=files)
            try:
                _require_select(connection, sql)
                return _run(connection, sql, dict(parameters or {}))
            except _MISWRITTEN as err:
                raise UsageError(
                    f"{purpose} can't be computed by DuckDB: its statement is to be corrected: {str(err).strip()}"
                ) from err


def _require_select(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    found = [statement.type for statement in connection.extract_statements(sql)]
    if found != [duckdb.StatementType.SELECT]:
        raise duckdb.ParserException(
            f"it is to be one SELECT, and is {', '.join(kind.name for kind in found) or 'no statement'}"
        )


def _run(connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Parameter]) -> pa.Table:
    """Return the rows of a statement; what a signal raises meanwhile, Ctrl-C or a task's timeout, ends it at once.

    DuckDB itself notices few of them, and makes errors of its own of those: it runs beside the thread that has them.
    """

    def rows() -> pa.Table:
        return connection.sql(sql, params=parameters).to_arrow_table()

    with ThreadPoolExecutor(1, thread_name_prefix="statement") as pool:
        running = pool.submit(rows)
        try:
            # Not for ever: a signal that another thread was given is seen by this one when it next looks up.
            while not running.done():
                wait([running], timeout=_PATIENCE_S)
            return running.result()
        except BaseException:
            while not running.done():
                connection.interrupt()
                wait([running], timeout=_PATIENCE_S)
            raise


@dataclass(frozen=True)
class LocalParquet:
    """The Parquet files of a dataset, for an engine that reads them itself.

    Attributes
    ----------
    root : Path
        Folder of the dataset.
    paths : tuple of str
        Absolute paths of the files that belong to it; each lies in the folder of its partition, ``dt=YYYY-MM-DD``.
    """

    root: Path
    paths: tuple[str, ...]


def local_parquet(dataset: ds.Dataset) -> LocalParquet | None:
    """Return a dataset's files; None where there are none, or an engine can't read them by their paths."""
    if not isinstance(dataset, ds.FileSystemDataset) or not isinstance(dataset.format, ds.ParquetFileFormat):
        return None
    filesystem: Any = dataset.filesystem
    if not isinstance(filesystem, fs.SubTreeFileSystem) or not isinstance(filesystem.base_fs, fs.LocalFileSystem):
        return None
    root, paths = Path(filesystem.base_path), []
    # The engines take a path with these for a pattern.
    if any(sign in str(root) for sign in "*?[]{}"):
        return None
    for fragment in dataset.get_fragments():
        # The Delta log says what a file's partition is; an engine reads it off the path.
        day = ds.get_partition_keys(fragment.partition_expression).get("dt")
        path = PurePosixPath(fragment.path.lstrip("/"))
        if path.parent != PurePosixPath(f"dt={day}"):
            return None
        paths.append(str(root / path))
    return LocalParquet(root, tuple(paths)) if paths else None


def parquet_sql(paths: Sequence[Path | str], options: str = "") -> str:
    """Return parquet files as a table of a statement."""
    # DuckDB takes a path for a pattern: in brackets a sign means itself.
    listed = ", ".join(literal(re.sub(r"([*?\[])", r"[\1]", str(path))) for path in paths)
    return f"read_parquet([{listed}]{options})"


def declare(connection: duckdb.DuckDBPyConnection, name: str, relation: pa.Table | ds.Dataset) -> Sequence[str]:
    """Make a relation a table of a session, as `DuckDbCompute.run_select` does; return the files that DuckDB reads."""
    # Arrow's scan of a table of many partitions costs several times DuckDB's own.
    files = local_parquet(relation) if isinstance(relation, ds.Dataset) else None
    if files is None:
        connection.register(name, relation)
        return ()
    found = parquet_sql(files.paths, ", union_by_name = true, hive_partitioning = true, hive_types = {'dt': DATE}")
    try:
        connection.execute(
            f"CREATE TEMP VIEW {columns([name])} AS SELECT {columns(relation.schema.names)} FROM {found}"
        )
    except duckdb.BinderException:
        # A column that was added to the table and is in none of its files yet.
        connection.register(name, relation)
        return ()
    return files.paths
