"""The databases of the embedded PostgreSQL: each with a role of its own, which reaches no other.

What belongs here: which role owns what, and bringing a server to it, whatever it was before. What does not: tables
(``deploy``), and the server (``postgres``).
"""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

from include.settings import STATE_OWNER, embedded_database_url

DATABASES = ("airflow", "mlflow", "feast_registry", "feast_online", "state")
# The role of a database's name owns it; of the state it is the application's, which owns nothing there.
OWNERS = {name: STATE_OWNER if name == "state" else name for name in DATABASES}

# What a server that had one role for all holds is handed over. Sequences and indexes of a table go with it.
_HAND_OVER = """
SELECT format('ALTER TABLE %s OWNER TO {owner}', c.oid::regclass) FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
AND pg_get_userbyid(c.relowner) <> {name}
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
UNION ALL
SELECT format('ALTER TYPE %s OWNER TO {owner}', t.oid::regtype) FROM pg_type t
WHERE t.typnamespace = 'public'::regnamespace AND t.typtype IN ('e', 'd') AND pg_get_userbyid(t.typowner) <> {name}
UNION ALL
SELECT format('ALTER FUNCTION %s OWNER TO {owner}', p.oid::regprocedure) FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND pg_get_userbyid(p.proowner) <> {name}
"""


def create_databases(home: Path) -> None:
    """Make the roles and databases that are missing, and give each database to its role; again changes nothing."""
    with _connect(home, "postgres") as connection:
        roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for role in {*DATABASES, *OWNERS.values()} - roles:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        for name in DATABASES:
            owner = OWNERS[name]
            made = "ALTER DATABASE {} OWNER TO {}" if name in present else "CREATE DATABASE {} OWNER {}"
            connection.execute(sql.SQL(made).format(sql.Identifier(name), sql.Identifier(owner)))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {0} TO {0}").format(sql.Identifier(name)))
    for name in set(DATABASES) & present:
        _hand_over(home, name)


def _hand_over(home: Path, database: str) -> None:
    owner = OWNERS[database]
    with _connect(home, database) as connection:
        found = sql.SQL(_HAND_OVER).format(owner=sql.Identifier(owner), name=sql.Literal(owner))
        for (statement,) in connection.execute(found).fetchall():
            connection.execute(statement)


def _connect(home: Path, database: str) -> psycopg.Connection:
    url = embedded_database_url(home, database, role="postgres").replace("+psycopg", "")
    return psycopg.connect(url, autocommit=True)
