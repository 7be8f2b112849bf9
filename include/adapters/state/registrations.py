"""What each version was registered with: the sha256 of its files, which loading compares with.

What belongs here: recording and reading it. What does not: the files, and the comparison (`adapters.registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from include.adapters.state import history, tables
from include.adapters.state.database import StateDatabase


@dataclass(frozen=True)
class Registration:
    """A version as it was registered.

    Attributes
    ----------
    model_id : str
    seq : int
        Counts the model's registrations from 1.
    version : int
    run_id : str
        MLflow's run.
    files : mapping of str to str
        sha256 by name.
    """

    model_id: str
    seq: int
    version: int
    run_id: str
    files: Mapping[str, str]


class RegistrationTable(StateDatabase):
    """Registrations, by model and version."""

    def record_registration(self, model_id: str, version: int, *, run_id: str, files: Mapping[str, str]) -> None:
        """Keep what a version was registered with; what was kept of it before stays."""
        table = tables.registration
        is_it = (table.c.model_id == model_id) & (table.c.version == version)
        with self._transaction() as connection:
            self._lock(connection, model_id)
            if connection.execute(sa.select(table.c.seq).where(is_it)).first() is None:
                row = {"version": version, "run_id": run_id, "files": dict(files)}
                history.append(connection, table, model_id, [row])

    def registration(self, model_id: str, version: int) -> Registration | None:
        """Return what a version was registered with; None of one that was registered before it was kept."""
        table = tables.registration
        is_it = (table.c.model_id == model_id) & (table.c.version == version)
        with self._transaction() as connection:
            row = connection.execute(sa.select(table).where(is_it)).first()
        return None if row is None else Registration(row.model_id, row.seq, row.version, row.run_id, row.files)
