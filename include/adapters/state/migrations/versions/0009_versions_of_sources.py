"""Remember the version of each table that a published partition was built from: a group may read several."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"

# What a group read before it could read several: a model's scores, where the model that gives the group its name has
# any, or else the one source that there was. Where that is another table, it is built again by the next heal.
_NAME_TABLES = """
UPDATE publication SET source_versions = jsonb_build_object(
  coalesce(
    (SELECT min(scores.target) FROM publication scores
     WHERE publication.target = 'features/' || substr(scores.target, length('predictions/') + 1) || '_scores'
       AND starts_with(scores.target, 'predictions/')),
    'raw/orders'),
  source_version)
WHERE source_version IS NOT NULL
"""
_TAKE_ONE = """
UPDATE publication SET source_version = (SELECT value::int FROM jsonb_each_text(source_versions))
WHERE source_versions IS NOT NULL AND (SELECT count(*) FROM jsonb_object_keys(source_versions)) = 1
"""


def upgrade() -> None:
    """Give each version the name of its table."""
    op.add_column("publication", sa.Column("source_versions", JSONB))
    op.execute(_NAME_TABLES)
    op.drop_column("publication", "source_version")


def downgrade() -> None:
    """Keep the version of what was built from one table; the others are built again by the next heal."""
    op.add_column("publication", sa.Column("source_version", sa.Integer))
    op.execute(_TAKE_ONE)
    op.drop_column("publication", "source_versions")
