"""Our relational state: ledger, decisions, claims, nights and publications, in PostgreSQL.

What belongs here: reading and appending, and the two compare-and-sets (a ledger's next row, a
model's watermark). What does not: what a move or a decision means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from include.adapters import state_tables as tables
from include.errors import ConflictError, MlopsError
from include.governance.lifecycle import LedgerMove, Stage, production_at
from include.settings import Settings


@dataclass(frozen=True)
class DecisionRow:
    """A recorded decision on whether to retrain."""

    decision_id: int
    model_id: str
    partition: str
    action: str
    trigger: str
    reasons: tuple[str, ...]
    acted: bool
    run_id: str
    recorded_at: datetime
    trained_by: str | None = None


class StateStoreAdapter:
    """The state database.

    Parameters
    ----------
    url : str
        SQLAlchemy URL of a PostgreSQL database.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, pool_pre_ping=True, poolclass=sa.NullPool)

    @classmethod
    def from_settings(cls, settings: Settings) -> StateStoreAdapter:
        """Return the deployment's state."""
        return cls(settings.database_url)

    def migrate(self) -> None:
        """Bring the tables to the newest revision; two callers at once wait for one another."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self._transaction() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('mlops-state-migration'))"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def ledger(self, model_id: str) -> tuple[LedgerMove, ...]:
        """Return a model's moves, in order."""
        table = tables.promotion_ledger
        query = sa.select(table).where(table.c.model_id == model_id).order_by(table.c.seq)
        with self._transaction() as connection:
            return tuple(
                LedgerMove(
                    model_id=row.model_id,
                    seq=row.seq,
                    version=row.version,
                    from_stage=Stage(row.from_stage),
                    to_stage=Stage(row.to_stage),
                    partition=row.partition_key,
                    actor=row.actor,
                    reason=row.reason,
                    evidence=row.evidence,
                    recorded_at=row.recorded_at,
                )
                for row in connection.execute(query)
            )

    def append_moves(self, moves: Sequence[LedgerMove]) -> None:
        """Append the next moves of a model, all or none.

        Raises
        ------
        ConflictError
            If another move was recorded since the ledger was read.
        """
        rows = [
            {
                "model_id": move.model_id,
                "seq": move.seq,
                "version": move.version,
                "from_stage": move.from_stage.value,
                "to_stage": move.to_stage.value,
                "partition_key": move.partition,
                "actor": move.actor,
                "reason": move.reason,
                "evidence": dict(move.evidence),
            }
            for move in moves
        ]
        try:
            with self._transaction() as connection:
                connection.execute(sa.insert(tables.promotion_ledger), rows)
        except IntegrityError as err:
            raise ConflictError(
                f"{moves[0].model_id}: somebody else moved a version at the same time; read the ledger and decide again"
            ) from err

    def production_version_at(self, model_id: str, partition: str) -> int | None:
        """Return the version that scores a partition, by the ledger; None where nothing was in Production."""
        return production_at(self.ledger(model_id), partition)

    def record_decision(
        self,
        *,
        model_id: str,
        partition: str,
        action: str,
        trigger: str,
        reasons: Sequence[str],
        run_id: str,
        newest_published: str | None,
        explicit: bool = False,
    ) -> DecisionRow:
        """Record a decision; say whether it acts.

        A `retrain` acts when its partition is newer than the model's watermark, which it moves, and
        is the newest published one. The same run asking again gets its own row back: a retried task
        loses nothing and doubles nothing.

        Parameters
        ----------
        newest_published : str or None
            The newest published partition of what the model reads.
        explicit : bool
            A person or a business event asked: it acts whatever the watermark says, and leaves it where it is.
        """
        table = tables.retrain_decision
        with self._transaction() as connection:
            self._lock(connection, model_id)
            known = connection.execute(
                sa.select(table.c.decision_id).where(
                    table.c.model_id == model_id, table.c.partition_key == partition, table.c.run_id == run_id
                )
            ).scalar()
            if known is None:
                is_newest = newest_published is None or partition >= newest_published
                advanced = is_newest and not explicit and self._advance(connection, model_id, partition)
                known = connection.execute(
                    sa.insert(table)
                    .values(
                        model_id=model_id,
                        partition_key=partition,
                        action=action,
                        trigger=trigger,
                        reasons=list(reasons),
                        acted=action == "retrain" and (advanced or explicit),
                        run_id=run_id,
                    )
                    .returning(table.c.decision_id)
                ).scalar_one()
            return next(_decisions(connection, table.c.decision_id == known))

    def decisions(self, model_id: str) -> tuple[DecisionRow, ...]:
        """Return a model's decisions, in the order they were recorded."""
        with self._transaction() as connection:
            return tuple(_decisions(connection, tables.retrain_decision.c.model_id == model_id))

    def claim_training(self, decision_id: int, run_id: str) -> str:
        """Claim a decision for a training run and return the run that holds it: this one, or an earlier one."""
        table = tables.training_claim
        with self._transaction() as connection:
            connection.execute(insert(table).values(decision_id=decision_id, run_id=run_id).on_conflict_do_nothing())
            return str(
                connection.execute(sa.select(table.c.run_id).where(table.c.decision_id == decision_id)).scalar_one()
            )

    def put_night(self, model_id: str, partition: str, *, model_version: int, night: Mapping[str, Any]) -> None:
        """Keep what monitoring measured of a partition, in place of what it measured before."""
        values = {"model_version": model_version, "night": dict(night)}
        statement = insert(tables.monitoring_metric).values(model_id=model_id, partition_key=partition, **values)
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["model_id", "partition_key"], set_=values)
            )

    def nights(self, model_id: str, *, until: str | None = None) -> list[dict[str, Any]]:
        """Return what monitoring measured, by partition, up to `until` included."""
        table = tables.monitoring_metric
        query = sa.select(table.c.night).where(table.c.model_id == model_id).order_by(table.c.partition_key)
        if until is not None:
            query = query.where(table.c.partition_key <= until)
        with self._transaction() as connection:
            return [dict(row.night) for row in connection.execute(query)]

    def record_publications(
        self, target: str, partitions: Sequence[tuple[str, int]], version: int, *, source_version: int | None = None
    ) -> None:
        """Write down which partitions a target holds, with their rows, the table's version and its source's."""
        if not partitions:
            return
        table = tables.materialised_partition
        told = {"target": target, "table_version": version, "source_version": source_version}
        statement = insert(table).values([{**told, "partition_key": key, "rows": rows} for key, rows in partitions])
        written = {name: statement.excluded[name] for name in ("table_version", "source_version", "rows")}
        with self._transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["target", "partition_key"], set_=written)
            )

    def source_versions(self, target: str) -> dict[str, int | None]:
        """Return the version of its source that each partition of a target agrees with, by key; None where unknown."""
        return self._by_partition(target, tables.materialised_partition.c.source_version)

    def table_versions(self, target: str) -> dict[str, int]:
        """Return the version of its table that each partition of a target was recorded with, by key."""
        return self._by_partition(target, tables.materialised_partition.c.table_version)

    def confirm_source(self, target: str, partitions: Sequence[str], source_version: int) -> None:
        """Write down that partitions, as they are, agree with a later version of their source."""
        table = tables.materialised_partition
        chosen = (table.c.target == target) & table.c.partition_key.in_(partitions)
        with self._transaction() as connection:
            connection.execute(sa.update(table).where(chosen).values(source_version=source_version))

    def publications(self, target: str) -> dict[str, int]:
        """Return the rows of each published partition of a target, by key."""
        return self._by_partition(target, tables.materialised_partition.c.rows)

    def newest_publication(self, target: str) -> str | None:
        """Return the newest published partition of a target."""
        return max(self.publications(target), default=None)

    def _by_partition(self, target: str, column: sa.Column[Any]) -> dict[str, Any]:
        table = tables.materialised_partition
        query = sa.select(table.c.partition_key, column).where(table.c.target == target).order_by(table.c.partition_key)
        with self._transaction() as connection:
            return dict(connection.execute(query).tuples().all())

    @staticmethod
    def _lock(connection: sa.Connection, model_id: str) -> None:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"mlops-{model_id}"})

    @staticmethod
    def _advance(connection: sa.Connection, model_id: str, partition: str) -> bool:
        table = tables.watermark
        statement = insert(table).values(model_id=model_id, partition_key=partition)
        moved = connection.execute(
            statement.on_conflict_do_update(
                index_elements=["model_id"],
                set_={"partition_key": statement.excluded.partition_key},
                where=table.c.partition_key < statement.excluded.partition_key,
            ).returning(table.c.partition_key)
        )
        return moved.first() is not None

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except ProgrammingError as err:
            reason = str(err.orig).strip().splitlines()[0]
            raise MlopsError(
                f"the state database does not have our tables ({reason}); make up brings them, on servers "
                "python -m include.embedded.deploy"
            ) from err
        except OperationalError as err:
            reason = str(err.orig).strip().splitlines()[0]
            url = self._engine.url.render_as_string(hide_password=True)
            raise MlopsError(
                f"the state database {url} can't be reached: {reason}; start it with make up, or set MLOPS_DATABASE_URL"
            ) from err


def _decisions(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Iterator[DecisionRow]:
    table, claim = tables.retrain_decision, tables.training_claim
    query = (
        sa.select(table, claim.c.run_id.label("trained_by"))
        .join(claim, claim.c.decision_id == table.c.decision_id, isouter=True)
        .where(condition)
        .order_by(table.c.decision_id)
    )
    for row in connection.execute(query):
        yield DecisionRow(
            decision_id=row.decision_id,
            model_id=row.model_id,
            partition=row.partition_key,
            action=row.action,
            trigger=row.trigger,
            reasons=tuple(row.reasons),
            acted=row.acted,
            run_id=row.run_id,
            recorded_at=row.recorded_at,
            trained_by=row.trained_by,
        )
