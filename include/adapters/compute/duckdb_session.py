"""DuckDB's sessions: the one place that opens one.

What belongs here: what every session has alike, and that nothing of it is left. What does not: any statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import duckdb

from include.errors import MlopsError, UncomputableError

# Of what DuckDB says: it writes a large number out.
_LONGEST = 200


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
    with TemporaryDirectory(prefix="mlops-duckdb-") as spill:
        config: dict[str, str | int | bool] = {
            "memory_limit": memory_limit,
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
        }
        try:
            with duckdb.connect(config=config) as connection:
                connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
                yield connection
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
