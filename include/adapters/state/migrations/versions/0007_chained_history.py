"""Chain the ledger's rows by hash, those that are there included, and keep what each version was registered with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from include.adapters.state.history import chain
from include.governance.chain import OWN, PREVIOUS

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the hashes to the ledger; make the table of registrations. Earlier versions have none."""
    for name in (PREVIOUS, OWN):
        op.add_column("promotion_ledger", sa.Column(name, sa.Text))
    _chain_moves(op.get_bind())
    for name in (PREVIOUS, OWN):
        op.alter_column("promotion_ledger", name, nullable=False)
    op.create_table(
        "registration",
        sa.Column("model_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("files", JSONB, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(PREVIOUS, sa.Text, nullable=False),
        sa.Column(OWN, sa.Text, nullable=False),
        sa.UniqueConstraint("model_id", "version"),
    )


def downgrade() -> None:
    """Drop both; the guard goes with them, or the next upgrade could not write the hashes."""
    op.execute("DROP TRIGGER IF EXISTS history_is_kept ON promotion_ledger")
    op.drop_table("registration")
    for name in (OWN, PREVIOUS):
        op.drop_column("promotion_ledger", name)


def _chain_moves(connection: sa.Connection) -> None:
    ledger = sa.Table("promotion_ledger", sa.MetaData(), autoload_with=connection)
    models = list(connection.execute(sa.select(ledger.c.model_id).distinct()).scalars())
    for model_id in models:
        of_model = sa.select(ledger).where(ledger.c.model_id == model_id).order_by(ledger.c.seq)
        rows = [dict(row) for row in connection.execute(of_model).mappings()]
        for row in chain(rows):
            is_it = (ledger.c.model_id == model_id) & (ledger.c.seq == row["seq"])
            connection.execute(sa.update(ledger).where(is_it).values({PREVIOUS: row[PREVIOUS], OWN: row[OWN]}))
