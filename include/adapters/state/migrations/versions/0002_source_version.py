"""Remember which version of its source a published partition was built from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; what was built before is unknown, and is built again by the next heal."""
    op.add_column("materialised_partition", sa.Column("source_version", sa.Integer))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("materialised_partition", "source_version")
