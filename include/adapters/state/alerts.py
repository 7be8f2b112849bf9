"""Alerts that were raised, by model or group, until they are over, and the messages that got through.

What belongs here: recording and reading them; a row is only ever added. What does not: which are raised and which are
over (``monitoring.alerts``), and sending messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase
from include.monitoring.alerts import Alert, Finding, Look, Message, ended, fresh


class AlertTables(StateDatabase):
    """Alerts, by what they are about."""

    def record_look(
        self, about: str, look: Look, *, partition: str, decision: str, link: Callable[[Finding], str]
    ) -> None:
        """Raise what a look has found and nobody knows, and end what is over; two at once are one after the other.

        Parameters
        ----------
        about : str
            A model, or a group.
        look : Look
        partition : str
            The night that was looked at.
        decision : str
            What was decided on it, in words.
        link : callable
            Returns the address of the run that shows a finding.
        """
        with self._transaction() as connection:
            self._lock(connection, f"alerts about {about}")
            alerts = _read(connection, about)
            for finding in fresh(look, alerts):
                raised = _row(finding, about=about, partition=partition, decision=decision, link=link(finding))
                connection.execute(sa.insert(tables.alert).values(raised))
            for alert in ended(look, alerts):
                over = {"alert_id": alert.alert_id, "partition_key": partition}
                connection.execute(sa.insert(tables.alert_end).values(over))

    def alerts(self, about: str) -> tuple[Alert, ...]:
        """Return every alert about a model or a group, in the order they were raised."""
        with self._transaction() as connection:
            return _read(connection, about)

    def record_message(self, message: Message, connection_id: str) -> None:
        """Record that a message got through; again changes nothing."""
        row = {"alert_id": message.alert.alert_id, "connection": connection_id, "is_over": message.is_over}
        with self._transaction() as connection:
            connection.execute(insert(tables.alert_message).values(row).on_conflict_do_nothing())


def _row(finding: Finding, *, about: str, partition: str, decision: str, link: str) -> Mapping[str, object]:
    told = {"kind": finding.kind, "subject": finding.subject, "causes": list(finding.causes)}
    return {"about": about, **told, "partition_key": partition, "decision": decision, "link": link}


def _read(connection: sa.Connection, about: str) -> tuple[Alert, ...]:
    alert, over, message = tables.alert, tables.alert_end, tables.alert_message
    of = alert.c.about == about
    sent = sa.select(message).join(alert, alert.c.alert_id == message.c.alert_id).where(of)
    told: dict[int, set[tuple[str, bool]]] = {}
    for row in connection.execute(sent):
        told.setdefault(row.alert_id, set()).add((row.connection, row.is_over))
    query = (
        sa.select(alert, over.c.partition_key.label("over_on"))
        .select_from(alert.outerjoin(over, alert.c.alert_id == over.c.alert_id))
        .where(of)
        .order_by(alert.c.alert_id)
    )
    return tuple(
        Alert(
            alert_id=row.alert_id,
            about=row.about,
            kind=row.kind,
            subject=row.subject,
            since=row.partition_key,
            causes=tuple(row.causes),
            decision=row.decision,
            link=row.link,
            over_on=row.over_on,
            told=frozenset(told.get(row.alert_id, ())),
        )
        for row in connection.execute(query)
    )
