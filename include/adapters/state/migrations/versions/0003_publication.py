"""Call a publication by its name: a partition is published in the lake, or online, and materialised only online."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename the table and its key; rows stay."""
    op.rename_table("materialised_partition", "publication")
    op.execute("ALTER INDEX materialised_partition_pkey RENAME TO publication_pkey")


def downgrade() -> None:
    """Rename them back."""
    op.rename_table("publication", "materialised_partition")
    op.execute("ALTER INDEX publication_pkey RENAME TO materialised_partition_pkey")
