"""Keep which version was asked about by which task of Airflow's, and in the ledger whose answer a move rests on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table of questions; moves that are there rest on no record, and nobody knows who asked for them."""
    op.create_table(
        "approval_question",
        sa.Column("ti_id", sa.Text, primary_key=True),
        sa.Column("model_id", sa.Text, nullable=False, index=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("map_index", sa.Integer, nullable=False),
        sa.Column("asked_at", _WHEN, primary_key=True),
        sa.Column("expires_at", _WHEN, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.clock_timestamp()),
    )
    op.add_column("promotion_ledger", sa.Column("requested_by", sa.Text))
    op.add_column("promotion_ledger", sa.Column("approval", JSONB(none_as_null=True)))


def downgrade() -> None:
    """Drop them."""
    op.drop_column("promotion_ledger", "approval")
    op.drop_column("promotion_ledger", "requested_by")
    op.drop_table("approval_question")
