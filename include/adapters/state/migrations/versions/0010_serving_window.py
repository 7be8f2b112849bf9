"""Keep what the online service answered, by process and minute."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table; of answers from before it nothing is known."""
    op.create_table(
        "serving_window",
        sa.Column("process", sa.Text, primary_key=True),
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("model_version", sa.Integer, primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("started_at", _WHEN, primary_key=True),
        sa.Column("ended_at", _WHEN, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("errors", JSONB, nullable=False),
        sa.Column("latency", JSONB, nullable=False),
        sa.Column("first_sequence", sa.BigInteger),
        sa.Column("last_sequence", sa.BigInteger),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("ix_serving_window_started_at", "serving_window", ["model_id", "started_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("serving_window")
