"""Alembic's environment: runs on the connection that the state store hands over."""

from __future__ import annotations

from alembic import context

from include.adapters.state.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
