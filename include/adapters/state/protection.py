"""What guards history in the database: the rights of the application's role, and triggers besides.

What belongs here: setting them, and saying where they are not. What does not: which tables are history
(`state.tables`), and what is wrong with their rows (`governance.chain`).
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from include.adapters.state.tables import HISTORY, METADATA

_REFUSE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it is history, rows are only ever added to it', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""
_TRIGGER = "history_is_kept"
_NEVER = ("UPDATE", "DELETE", "TRUNCATE")


def protect(connection: sa.Connection, role: str | None) -> None:
    """Guard history, and let the application's role do what it needs to; again changes nothing.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        The owner's.
    role : str or None
        The application's. None where it is the owner itself, whom triggers stop and rights do not.
    """
    connection.execute(sa.text(_REFUSE))
    for table in HISTORY:
        for statement in (
            f"CREATE OR REPLACE TRIGGER {_TRIGGER} BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
            # Also where a session says that it is a replica.
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {_TRIGGER}",
        ):
            connection.execute(sa.text(statement))
    if role is not None:
        _grant(connection, connection.dialect.identifier_preparer.quote(role))


def find_gaps(connection: sa.Connection) -> Iterator[str]:
    """Yield what of history the role of this connection could change, a line for each table."""
    for table in HISTORY:
        allowed = [
            right
            for right in _NEVER
            if connection.execute(
                sa.text("SELECT has_table_privilege(CAST(:name AS text), :right)"), {"name": table, "right": right}
            ).scalar_one()
        ]
        owns = "SELECT pg_has_role(relowner, 'MEMBER') FROM pg_class WHERE oid = to_regclass(:name)"
        if connection.execute(sa.text(owns), {"name": table}).scalar_one():
            allowed.append("DROP")
        if allowed:
            yield f"{table}: {connection.engine.url.username} may {', '.join(allowed)}"


def find_disarmed(connection: sa.Connection) -> list[str]:
    """Return the histories whose trigger is gone or switched off."""
    armed = sa.text(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = :name AND tgenabled = 'A' "
        "AND tgfoid = to_regproc('refuse_change')"
    )
    found = set(connection.execute(armed, {"name": _TRIGGER}).scalars())
    return [table for table in HISTORY if table not in found]


def _grant(connection: sa.Connection, role: str) -> None:
    statements = [
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT USAGE ON SCHEMA public TO {role}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    ]
    for table in METADATA.tables:
        rights = "SELECT, INSERT" if table in HISTORY else "SELECT, INSERT, UPDATE, DELETE"
        statements.append(f"GRANT {rights} ON {table} TO {role}")
    for statement in statements:
        connection.execute(sa.text(statement))
