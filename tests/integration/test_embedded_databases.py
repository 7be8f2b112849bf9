"""The databases of an embedded server: a role of its own for each, also on a server that had one for all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
import yaml

from include.adapters.state.state_store import StateStoreAdapter
from include.embedded.databases import DATABASES, create_databases
from include.embedded.deploy import migrate_state
from include.embedded.home import make_home
from include.embedded.postgres import EmbeddedPostgres
from include.errors import MlopsError
from include.home import HomeSettings
from include.settings import PROJECT_ROOT, STATE_OWNER, Settings, embedded_database_url

OLD = """
CREATE TABLE a (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY);
CREATE SEQUENCE b;
CREATE VIEW c AS SELECT id FROM a;
CREATE TYPE d AS ENUM ('x');
CREATE FUNCTION e(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
"""
CHANGES = """
ALTER TABLE a ADD COLUMN more int; ALTER SEQUENCE b RESTART; DROP VIEW c; ALTER TYPE d ADD VALUE 'y'; DROP FUNCTION e;
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    """A server that had one role for all: a database of each name, with something of each kind in it."""
    folder = tmp_path_factory.mktemp("databases") / "home"
    make_home(folder, HomeSettings(None))
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        with psycopg.connect(url(folder, "postgres"), autocommit=True) as connection:
            for name in DATABASES[:-1]:
                connection.execute(f"CREATE DATABASE {name}")
        for name in DATABASES[:-1]:
            with psycopg.connect(url(folder, name, "postgres")) as connection:
                connection.execute(OLD)
        for _ in range(2):
            create_databases(folder)
        yield folder
    finally:
        server.stop()


def url(home: Path, database: str, role: str | None = None) -> str:
    return embedded_database_url(home, database, role=role).replace("+psycopg", "")


@pytest.mark.parametrize("role", sorted({*DATABASES, STATE_OWNER}))
def test_a_role_reaches_its_own_database_and_no_other(home, role):
    reached = []
    for database in DATABASES:
        with suppress(psycopg.OperationalError), psycopg.connect(url(home, database, role)):
            reached.append(database)
    assert reached == ["state" if role == STATE_OWNER else role]


def test_no_role_is_a_superuser_or_makes_others(home):
    with psycopg.connect(url(home, "postgres")) as connection:
        may = "bool_or(rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)"
        query = f"SELECT {may} FROM pg_roles WHERE rolname = ANY(%s)"
        assert connection.execute(query, [sorted({*DATABASES, STATE_OWNER})]).fetchone() == (False,)


@pytest.mark.parametrize("database", DATABASES[:-1])
def test_what_one_role_owned_of_all_is_its_own_now(home, database):
    with psycopg.connect(url(home, database)) as connection:
        connection.execute(CHANGES)
        connection.rollback()


def test_the_state_is_migrated_by_its_owner_and_history_is_protected(home):
    settings = Settings.from_env({"MLOPS_HOME": str(home)})
    migrate_state(settings)
    state = StateStoreAdapter.from_settings(settings)
    assert (state.unguarded(), state.disarmed(), state.ledger("churn")) == ([], [], ())


def test_a_database_of_ones_own_has_one_role_until_an_owner_is_named(tmp_path):
    own = {"MLOPS_HOME": str(tmp_path), "MLOPS_DATABASE_URL": "postgresql+psycopg://me@elsewhere/state"}
    assert Settings.from_env(own).state_owner_url is None
    named = Settings.from_env({**own, "MLOPS_STATE_OWNER_URL": "postgresql+psycopg://owner@elsewhere/state"})
    assert named.state_owner_url == "postgresql+psycopg://owner@elsewhere/state"


def test_the_containers_statements_make_such_databases(postgres_url, tmp_path):
    """As `docker-compose.yaml` has them, with a password of its own for each role."""
    compose = yaml.safe_load((PROJECT_ROOT / "docker-compose.yaml").read_text())
    statements = re.sub(r"\$\{(\w+)\}", r"\1", compose["configs"]["databases"]["content"])
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements.strip().splitlines():
            connection.execute(statement)
    server = sa.make_url(postgres_url)
    state, owner = (
        server.set(database="state", username=role).render_as_string(hide_password=False)
        for role in ("state", STATE_OWNER)
    )
    migrate_state(
        Settings.from_env({"MLOPS_HOME": str(tmp_path), "MLOPS_DATABASE_URL": state, "MLOPS_STATE_OWNER_URL": owner})
    )
    assert StateStoreAdapter(state).unguarded() == []
    with pytest.raises(MlopsError, match="permission denied for database"):
        StateStoreAdapter(state.replace("://state", "://airflow")).ledger("churn")
