"""First tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the ledger, the decisions, the watermark, the claims, the metrics and the publications."""
    op.create_table(
        "promotion_ledger",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("from_stage", sa.Text, nullable=False),
        sa.Column("to_stage", sa.Text, nullable=False),
        sa.Column("partition_key", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.now()),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("evidence", JSONB, nullable=False),
    )
    op.create_table(
        "retrain_decision",
        sa.Column("decision_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("model_id", sa.Text, nullable=False, index=True),
        sa.Column("partition_key", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("reasons", JSONB, nullable=False),
        sa.Column("acted", sa.Boolean, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "watermark",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("partition_key", sa.Text, nullable=False),
    )
    op.create_table(
        "training_claim",
        sa.Column("decision_id", sa.Integer, sa.ForeignKey("retrain_decision.decision_id"), primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "monitoring_metric",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("partition_key", sa.Text, primary_key=True),
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("night", JSONB, nullable=False),
    )
    op.create_table(
        "materialised_partition",
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("partition_key", sa.Text, primary_key=True),
        sa.Column("table_version", sa.Integer, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in (
        "training_claim",
        "retrain_decision",
        "watermark",
        "promotion_ledger",
        "monitoring_metric",
        "materialised_partition",
    ):
        op.drop_table(table)
