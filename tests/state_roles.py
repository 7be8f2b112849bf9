"""A state database of two roles in a real PostgreSQL: one that owns its tables, and the application's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from include.adapters.state.database import StateDatabase
from include.adapters.state.history import chain
from include.adapters.state.state_store import StateStoreAdapter
from include.adapters.state.tables import CHAINED, HISTORY, METADATA

OWNER, APP = "history_owner", "history_app"


@dataclass(frozen=True)
class StateRoles:
    """One database, reached as either role."""

    owner_url: str
    app_url: str

    @property
    def app(self) -> StateStoreAdapter:
        """The state as the application has it."""
        return StateStoreAdapter(self.app_url)

    @contextmanager
    def owner(self) -> Iterator[sa.Connection]:
        """Give a transaction of the owner, with the triggers on."""
        with sa.create_engine(self.owner_url, poolclass=sa.NullPool).begin() as connection:
            yield connection

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put every chained history back as it is now, whatever is done to it meanwhile."""
        with self.owner() as connection:
            kept = {table: connection.execute(sa.select(table)).mappings().all() for table in CHAINED}
        yield
        with self.forger() as connection:
            for table, rows in kept.items():
                connection.execute(sa.delete(table))
                connection.execute(sa.insert(table), [dict(row) for row in rows])

    @contextmanager
    def forger(self) -> Iterator[sa.Connection]:
        """Give a transaction of the owner, who has switched the triggers off and switches them on again."""
        with self.owner() as connection:
            for table in HISTORY:
                connection.execute(sa.text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            yield connection
            for table in HISTORY:
                connection.execute(sa.text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER history_is_kept"))


def create_state(server_url: str, name: str, *, template: str | None = None) -> StateRoles:
    """Make a database, from nothing and migrated by its owner, or as a copy of another."""
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        there = set(connection.execute(sa.text("SELECT rolname FROM pg_roles")).scalars())
        for role in {OWNER, APP} - there:
            connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        of = f"TEMPLATE {template}" if template else ""
        connection.execute(sa.text(f"CREATE DATABASE {name} OWNER {OWNER} {of}"))
    urls = (sa.make_url(server_url).set(database=name, username=role) for role in (OWNER, APP))
    roles = StateRoles(*(url.render_as_string(hide_password=False) for url in urls))
    if template is None:
        StateDatabase(roles.owner_url).migrate(APP)
    return roles


def rewrite(connection: sa.Connection, table: str, model_id: str, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Write a whole history anew, as one who knows how rows are chained."""
    history = METADATA.tables[table]
    of_model = sa.select(history).where(history.c.model_id == model_id).order_by(history.c.seq)
    rows = [{**row, **changes.get(row["seq"], {})} for row in connection.execute(of_model).mappings()]
    connection.execute(sa.delete(history).where(history.c.model_id == model_id))
    connection.execute(sa.insert(history), chain(rows))
