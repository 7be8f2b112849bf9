"""Keep who holds retraining and why, and the nights that were found missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_WHEN = sa.DateTime(timezone=True)
_NOW = sa.func.clock_timestamp()


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "retraining_switch",
        sa.Column("move_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("model_id", sa.Text),
        sa.Column("is_stop", sa.Boolean, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "night_incident",
        sa.Column("incident_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("partition_key", sa.Text, nullable=False),
        sa.Column("lacks", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "night_incident_end",
        sa.Column("incident_id", sa.Integer, sa.ForeignKey("night_incident.incident_id"), primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=_NOW),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("night_incident_end", "night_incident", "retraining_switch"):
        op.drop_table(table)
