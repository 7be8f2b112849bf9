"""DuckDB's sessions: the one place that opens one.

What belongs here: what every session has alike, and that nothing of it is left. What does not: any statement.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import duckdb

from include.errors import MlopsError, UncomputableError
from include.quality.sql import literal

# Of what DuckDB says: it writes a large number out.
_LONGEST = 200
_SPILL = "mlops-duckdb-"
# By process, memory limit and whether it is closed to files: what a process has forked from is not its own.
_shared: dict[tuple[int, str, bool], duckdb.DuckDBPyConnection] = {}
_numbers = count()


@contextmanager
def open_session(*, purpose: str, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session in memory for statements of our own; what they made is gone after the body, whatever happens.

    Its time zone is UTC. A name in a statement means a table of the session, never a Python variable that happens to be
    called so. No extension is downloaded. It shares a DuckDB with all such sessions of the process, and the memory
    limit with those at once: to open one of its own takes twenty times as long.

    Parameters
    ----------
    purpose : str
        What is computed, for error messages, e.g. ``"feature group customer_daily"``.
    memory_limit : str
        As ``Settings.memory_limit``; above it DuckDB spills to a temporary folder, which goes with the process.

    Raises
    ------
    UncomputableError
        If a statement of the body meets a value that it can't compute with.
    MlopsError
        If DuckDB refuses a statement or fails.
    """
    with _explained(purpose, memory_limit), _share(memory_limit, is_closed=False) as shared:
        name = f"session_{next(_numbers)}"
        shared.cursor().execute(f"ATTACH ':memory:' AS {name}")
        try:
            with shared.cursor() as connection:
                connection.execute(f"USE {name}")
                yield connection
        finally:
            # A DuckDB that has failed for good answers nothing, and is given up.
            with suppress(duckdb.Error):
                shared.cursor().execute(f"DETACH {name}")


@contextmanager
def open_closed_session(*, purpose: str, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session for another's statements, which reads no file and sets nothing; otherwise as `open_session`.

    What is registered is seen by this session alone.
    """
    with (
        _explained(purpose, memory_limit),
        _share(memory_limit, is_closed=True) as shared,
        shared.cursor() as connection,
    ):
        yield connection


@contextmanager
def open_own_session(*, purpose: str, memory_limit: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a session on a DuckDB of its own, which `close_to_files` can close; otherwise as `open_session`."""
    with (
        TemporaryDirectory(prefix=_SPILL) as spill,
        _explained(purpose, memory_limit),
        _opened(memory_limit, spill) as connection,
    ):
        yield connection


@contextmanager
def _share(memory_limit: str, *, is_closed: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    key = os.getpid(), memory_limit, is_closed
    if key not in _shared:
        _shared[key] = _open_shared(memory_limit, is_closed=is_closed)
    try:
        yield _shared[key]
    except (duckdb.FatalException, duckdb.InternalException):
        # It answers nothing after such a one.
        _shared.pop(key, None)
        raise


def _open_shared(memory_limit: str, *, is_closed: bool) -> duckdb.DuckDBPyConnection:
    spill = mkdtemp(prefix=_SPILL)
    try:
        connection = _opened(memory_limit, spill)
    except BaseException:
        Path(spill).rmdir()
        raise
    atexit.register(_remove, spill, os.getpid())
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    if is_closed:
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
