"""The tables of our relational state, as SQLAlchemy sees them.

What belongs here: columns and keys. What does not: queries, which are in the state store, and
changes of a released table, which are Alembic migrations.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from include.governance.chain import OWN, PREVIOUS

METADATA = sa.MetaData()


class _Instant(sa.TypeDecorator[datetime]):
    """A time, read in UTC: the server gives it by its own clock, which is that of the machine it was made on."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return the same instant."""
        return None if value is None else value.astimezone(UTC)


_WHEN = _Instant()


def _chained() -> tuple[sa.Column[str], sa.Column[str]]:
    """Return the columns by which a history's rows are chained: see `governance.chain`."""
    return sa.Column(PREVIOUS, sa.Text, nullable=False), sa.Column(OWN, sa.Text, nullable=False)


# One row per move. `seq` counts a model's moves: inserting the next one is the compare-and-set.
promotion_ledger = sa.Table(
    "promotion_ledger",
    METADATA,
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
    # Who asked for the training, of a move that ended one; and whose answer it rests on, where Airflow was asked.
    sa.Column("requested_by", sa.Text),
    sa.Column("approval", JSONB(none_as_null=True)),
    *_chained(),
)

# One row per registered version: the sha256 of each of its files, by name, as it was trained.
registration = sa.Table(
    "registration",
    METADATA,
    sa.Column("model_id", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("files", JSONB, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False),
    *_chained(),
    sa.UniqueConstraint("model_id", "version"),
)

# One row per question and try of the task that asks: Airflow keeps the answer under the try's id.
approval_question = sa.Table(
    "approval_question",
    METADATA,
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

retrain_decision = sa.Table(
    "retrain_decision",
    METADATA,
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

# The newest partition a model's monitoring has decided on; moved by compare-and-set only.
watermark = sa.Table(
    "watermark",
    METADATA,
    sa.Column("model_id", sa.Text, primary_key=True),
    sa.Column("partition_key", sa.Text, nullable=False),
)

# Which run trains on which decision: one row at most, so a decision is trained on once.
training_claim = sa.Table(
    "training_claim",
    METADATA,
    sa.Column("decision_id", sa.Integer, sa.ForeignKey("retrain_decision.decision_id"), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.now()),
)

# Why a training that claimed a decision came to nothing, each time that it did: the newest row says why it last did.
training_failure = sa.Table(
    "training_failure",
    METADATA,
    sa.Column("failure_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("decision_id", sa.Integer, sa.ForeignKey("retrain_decision.decision_id"), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.now()),
)

# Which decision a request for a training got: one row for each key, so a request that comes twice is decided once.
training_request = sa.Table(
    "training_request",
    METADATA,
    sa.Column("model_id", sa.Text, primary_key=True),
    sa.Column("request_key", sa.Text, primary_key=True),
    sa.Column("decision_id", sa.Integer, sa.ForeignKey("retrain_decision.decision_id"), nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.now()),
)

monitoring_metric = sa.Table(
    "monitoring_metric",
    METADATA,
    sa.Column("model_id", sa.Text, primary_key=True),
    sa.Column("partition_key", sa.Text, primary_key=True),
    sa.Column("model_version", sa.Integer, nullable=False),
    sa.Column("night", JSONB, nullable=False),
)

publication = sa.Table(
    "publication",
    METADATA,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("partition_key", sa.Text, primary_key=True),
    sa.Column("table_version", sa.Integer, nullable=False),
    sa.Column("source_versions", JSONB(none_as_null=True)),
    sa.Column("rows", sa.BigInteger, nullable=False),
)

# One row per process, version, role and minute: what the online service answered.
serving_window = sa.Table(
    "serving_window",
    METADATA,
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
    sa.Index("ix_serving_window_started_at", "model_id", "started_at"),
)

# One row per throw of a switch that holds the retraining of a model, or of all, without one.
retraining_switch = sa.Table(
    "retraining_switch",
    METADATA,
    sa.Column("move_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("model_id", sa.Text),
    sa.Column("is_stop", sa.Boolean, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.clock_timestamp()),
)

# One row per night of a group or model that was found missing, and one when it was found to be missing no more.
night_incident = sa.Table(
    "night_incident",
    METADATA,
    sa.Column("incident_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("partition_key", sa.Text, nullable=False),
    sa.Column("lacks", sa.Text, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.clock_timestamp()),
)
night_incident_end = sa.Table(
    "night_incident_end",
    METADATA,
    sa.Column("incident_id", sa.Integer, sa.ForeignKey("night_incident.incident_id"), primary_key=True),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.clock_timestamp()),
)

# One row per alert that was raised, one when it was over, and one for each message of it that got through.
alert = sa.Table(
    "alert",
    METADATA,
    sa.Column("alert_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("about", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("partition_key", sa.Text, nullable=False),
    sa.Column("causes", JSONB, nullable=False),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("link", sa.Text, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.clock_timestamp()),
)
alert_end = sa.Table(
    "alert_end",
    METADATA,
    sa.Column("alert_id", sa.Integer, sa.ForeignKey("alert.alert_id"), primary_key=True),
    sa.Column("partition_key", sa.Text, nullable=False),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.clock_timestamp()),
)
alert_message = sa.Table(
    "alert_message",
    METADATA,
    sa.Column("alert_id", sa.Integer, sa.ForeignKey("alert.alert_id"), primary_key=True),
    sa.Column("connection", sa.Text, primary_key=True),
    sa.Column("is_over", sa.Boolean, primary_key=True),
    sa.Column("recorded_at", _WHEN, nullable=False, server_default=sa.func.clock_timestamp()),
)

# What is only ever added to: nobody but a migration changes a row of these, and the database refuses it.
HISTORY = (
    "promotion_ledger",
    "registration",
    "approval_question",
    "retrain_decision",
    "training_claim",
    "training_failure",
    "training_request",
    "serving_window",
    "retraining_switch",
    "night_incident",
    "night_incident_end",
    "alert",
    "alert_end",
    "alert_message",
)
# Of these, those whose rows are chained by hash.
CHAINED = (promotion_ledger, registration)
