"""DuckDB as the engine of feature SQL.

What belongs here: one statement run over named Arrow data. What does not: the statement, and where
the data comes from or goes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from tempfile import TemporaryDirectory
from typing import TypeAlias

import duckdb
import pyarrow as pa
from pyarrow.dataset import Dataset

from include.errors import MlopsError

Parameter: TypeAlias = str | int | float | date | datetime | None

# Of the memory that this process may have; the rest is for the rows that are returned, and for a neighbour.
MEMORY_LIMIT = "50%"


class DuckDbCompute:
    """Feature SQL on DuckDB: one process, every core, spilling to disk where memory ends."""

    def run_select(
        self,
        sql: str,
        relations: Mapping[str, pa.Table | Dataset],
        *,
        purpose: str,
        parameters: Mapping[str, Parameter] | None = None,
    ) -> pa.Table:
        """Run one SELECT on Arrow data and return its rows; as the function `run_select`."""
        return run_select(sql, relations, purpose=purpose, parameters=parameters)


def run_select(
    sql: str,
    relations: Mapping[str, pa.Table | Dataset],
    *,
    purpose: str,
    parameters: Mapping[str, Parameter] | None = None,
    threads: int | None = None,
    memory_limit: str = MEMORY_LIMIT,
) -> pa.Table:
    """Run one SELECT on Arrow data and return its rows.

    The session's time zone is UTC. The statement sees `relations` and nothing else: no file, no Python
    variable, no extension that would have to be downloaded.

    Parameters
    ----------
    sql : str
        DuckDB dialect, with ``$name`` parameters.
    relations : mapping of str to pyarrow.Table or pyarrow.dataset.Dataset
        What the statement's table names mean.
    purpose : str
        What is computed, for error messages, e.g. ``"feature group customer_daily"``.
    parameters : mapping, optional
        Values of the statement's parameters.
    threads : int, optional
        Default: every core.
    memory_limit : str
        Above it DuckDB spills to a temporary folder; a size, or a share of the machine's (or its container's) memory.

    Raises
    ------
    MlopsError
        If DuckDB refuses the statement or fails.
    """
    with TemporaryDirectory(prefix="mlops-duckdb-") as spill:
        config: dict[str, str | int | bool] = {
            "memory_limit": memory_limit,
            "temp_directory": spill,
            "autoinstall_known_extensions": False,
            "python_enable_replacements": False,
        }
        if threads is not None:
            config["threads"] = threads
        try:
            with duckdb.connect(config=config) as connection:
                connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
                for name, relation in relations.items():
                    connection.register(name, relation)
                rows: pa.Table = connection.sql(sql, params=dict(parameters or {})).to_arrow_table()
                return rows
        except duckdb.Error as err:
            raise MlopsError(f"{purpose} can't be computed by DuckDB: {str(err).strip()}") from err
