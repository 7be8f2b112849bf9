"""DuckDB's sessions: the one place that opens one.

What belongs here: what every session has alike, and that nothing of it is left. What does not: any statement.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory, mkdtemp

import duckdb

from include.errors import MlopsError, UncomputableError
from include.quality.sql import literal

# Of what DuckDB says: it writes a large number out.
_LONGEST = 200
_SPILL = "mlops-duckdb-"
# By process and memory limit: what a process has forked from is not its own.
_closed: dict[tuple[int, str], duckdb.DuckDBPyConnection] = {}


@contextmanager
def open_session(*, purpose: str, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB in memory; it is closed, and its temporary folder removed, whatever happens in the body.

    Its time zone is UTC. A name in a statement means a registered table, never a Python variable that happens to be
    called so. No extension is downloaded.

    Parameters
    ----------
    purpose : str
        What is computed, for error messages, e.g. ``"feature group customer_daily"``.
    memory_limit : str
        As ``Settings.memory_limit``; above it DuckDB spills to the temporary folder.

    Raises
    ------
    UncomputableError
        If a statement of the body meets a value that it can't compute with.
    MlopsError
        If DuckDB refuses a statement or fails.
    """
    with (
        TemporaryDirectory(prefix=_SPILL) as spill,
        _explained(purpose, memory_limit),
        _opened(memory_limit, spill) as connection,
    ):
        yield connection


@contextmanager
def open_closed_session(*, purpose: str, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session that reads no file and sets nothing; otherwise as `open_session`.

    It shares a DuckDB with all such sessions of the process, and the memory limit with those at once: to open one of
    its own takes ten times as long as what most ask of it. What is registered is seen by this session alone.
    """
    key = os.getpid(), memory_limit
    try:
        with _explained(purpose, memory_limit):
            if key not in _closed:
                _closed[key] = _open_closed(memory_limit)
            with _closed[key].cursor() as connection:
                yield connection
    except MlopsError as err:
        if isinstance(err.__cause__, duckdb.FatalException | duckdb.InternalException):
            # It answers nothing after such a one.
            _closed.pop(key, None)
        raise


def _open_closed(memory_limit: str) -> duckdb.DuckDBPyConnection:
    spill = mkdtemp(prefix=_SPILL)
    atexit.register(_remove, spill, os.getpid())
    connection = _opened(memory_limit, spill)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    close_to_files(connection, but=())
    return connection


def close_to_files(connection: duckdb.DuckDBPyConnection, *, but: Sequence[str]) -> None:
    """Leave a session no file but these, and its temporary folder, for as long as it is open; nor is anything set."""
    connection.execute(
        f"SET allowed_paths = [{', '.join(map(literal, but))}]; SET enable_external_access = false; "
        "SET lock_configuration = true"
    )


def _remove(spill: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(spill, ignore_errors=True)


def _opened(memory_limit: str, spill: str) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | int | bool] = {
        "memory_limit": memory_limit,
        "temp_directory": spill,
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    connection = duckdb.connect(config=config)
    connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
    return connection


@contextmanager
def _explained(purpose: str, memory_limit: str) -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as err:
        raise MlopsError(
            f"{purpose} can't be computed by DuckDB: {_first_line(err)}; give it more than MLOPS_MEMORY_LIMIT="
            f"{memory_limit}, or more room in the temporary folder"
        ) from err
    except (duckdb.DataError, duckdb.InvalidInputException) as err:
        raise UncomputableError(f"{purpose} can't be computed by DuckDB: {_first_line(err)}") from err
    except duckdb.Error as err:
        raise MlopsError(f"{purpose} can't be computed by DuckDB: {str(err).strip()}") from err


def _first_line(err: duckdb.Error) -> str:
    # What follows is advice on DuckDB's own settings, which are ours here.
    return str(err).strip().splitlines()[0][:_LONGEST]
