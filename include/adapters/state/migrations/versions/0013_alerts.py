"""Keep which alerts were raised, which are over, and who was told of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0011"

_WHEN = sa.DateTime(timezone=True)
_NOW = sa.func.clock_timestamp()


def upgrade() -> None:
    """Create the tables; what is open now is raised by the next night."""
    op.create_table(
        "alert",
        sa.Column("alert_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("about", sa.Text, nullable=False, index=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("partition_key", sa.Text, nullable=False),
        sa.Column("causes", JSONB, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "alert_end",
        sa.Column("alert_id", sa.Integer, sa.ForeignKey("alert.alert_id"), primary_key=True),
        sa.Column("partition_key", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=_NOW),
    )
    op.create_table(
        "alert_message",
        sa.Column("alert_id", sa.Integer, sa.ForeignKey("alert.alert_id"), primary_key=True),
        sa.Column("connection", sa.Text, primary_key=True),
        sa.Column("is_over", sa.Boolean, primary_key=True),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=_NOW),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("alert_message", "alert_end", "alert"):
        op.drop_table(table)
