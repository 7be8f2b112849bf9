"""The state database: its connection, its migrations, and what its errors mean.

What belongs here: what every part of the state needs. What does not: queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, ProgrammingError

from include.adapters.state.protection import protect
from include.errors import MlopsError

# PostgreSQL's undefined_table and undefined_column.
_NO_SUCH = ("42P01", "42703")


class StateDatabase:
    """Our PostgreSQL database.

    Parameters
    ----------
    url : str
        SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, pool_pre_ping=True, poolclass=sa.NullPool)

    def migrate(self, app_role: str | None = None) -> None:
        """Bring the tables to the newest revision, and guard history; two callers at once wait for one another.

        Parameters
        ----------
        app_role : str, optional
            The role that the application connects as, where that is not this one, which owns the tables.
        """
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self._transaction() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('mlops-state-migration'))"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            protect(connection, app_role)

    @staticmethod
    def _lock(connection: sa.Connection, model_id: str) -> None:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"mlops-{model_id}"})

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except ProgrammingError as err:
            reason = str(err.orig).strip().splitlines()[0]
            if getattr(err.orig, "sqlstate", None) not in _NO_SUCH:
                asked_as = self._engine.url.username
                raise MlopsError(f"the state database refuses: {reason} (asked as {asked_as})") from err
            raise MlopsError(
                f"the state database does not have our tables ({reason}); make up brings them, on servers "
                "python -m include.embedded.deploy"
            ) from err
        except OperationalError as err:
            reason = str(err.orig).strip().splitlines()[0]
            url = self._engine.url.render_as_string(hide_password=True)
            raise MlopsError(
                f"the state database {url} can't be reached: {reason}; start it with make up, or set MLOPS_DATABASE_URL"
            ) from err
