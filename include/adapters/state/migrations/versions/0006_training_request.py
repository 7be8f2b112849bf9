"""Remember which decision a request for a training got, by the request's own key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"


def upgrade() -> None:
    """Create the table; decisions from before it count as nights' own."""
    op.create_table(
        "training_request",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("request_key", sa.Text, primary_key=True),
        sa.Column("decision_id", sa.Integer, sa.ForeignKey("retrain_decision.decision_id"), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("training_request")
