"""Databases of a test run's PostgreSQL, made anew: empty, or as a copy of one whose migrations have run.

What belongs here: making one. What does not: servers (``engines``), and what a suite keeps in a database.
"""

from __future__ import annotations

import sqlalchemy as sa


def make_database(server_url: str, name: str, *, like: str = "template1") -> str:
    """Make a database in place of an earlier one of its name, as a copy of `like`, and return its SQLAlchemy URL.

    To copy one takes a tenth of the time that its migrations take.
    """
    engine = sa.create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {like}"))
    return sa.make_url(server_url).set(database=name).render_as_string(hide_password=False)
