"""Nights that were found missing: each is an incident, recorded once, until it is found to be missing no more.

What belongs here: recording and reading them; a row is only ever added. What does not: what is missing
(``steps.night_status``), and who is told (``steps.watch_nights``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from include.adapters.state import tables
from include.adapters.state.database import StateDatabase
from include.monitoring.missed_nights import Hole, MissedNight, NightIncident


class NightIncidentTable(StateDatabase):
    """Incidents of missing nights, by group and model."""

    def record_holes(self, holes: Collection[Hole], *, until: str, run_id: str, may_end: bool = True) -> None:
        """Record what is missing and was not, and the end of what was missing and is not.

        Two at once are one after the other, and one finds nothing to record.

        Parameters
        ----------
        holes : collection of Hole
            All that is missing up to `until`, in no order.
        until : str
            The last night that was looked at: what is known of later ones stays.
        run_id : str
            Who looked.
        may_end : bool
            Whether all was looked at, so that what is not among `holes` is not missing.
        """
        found = {hole.key: hole for hole in holes}
        with self._transaction() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('mlops night incidents'))"))
            is_open = {incident.hole.key: incident for incident in _read(connection) if incident.is_open}
            fresh = [_row(hole, run_id) for key, hole in sorted(found.items()) if key not in is_open]
            over = [
                {"incident_id": incident.incident_id, "run_id": run_id}
                for key, incident in is_open.items()
                if may_end and key not in found and incident.hole.night.partition <= until
            ]
            _insert(connection, tables.night_incident, fresh)
            _insert(connection, tables.night_incident_end, over)

    def night_incidents(self) -> tuple[NightIncident, ...]:
        """Return every incident, in the order they were recorded."""
        with self._transaction() as connection:
            return _read(connection)


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _row(hole: Hole, run_id: str) -> dict[str, str]:
    night = hole.night
    named = {"kind": hole.kind, "name": hole.name, "partition_key": night.partition}
    return {**named, "lacks": night.lacks, "why": night.why, "run_id": run_id}


def _read(connection: sa.Connection) -> tuple[NightIncident, ...]:
    begun, over = tables.night_incident, tables.night_incident_end
    query = (
        sa.select(begun, over.c.run_id.label("ended_by"), over.c.recorded_at.label("ended_at"))
        .select_from(begun.outerjoin(over, begun.c.incident_id == over.c.incident_id))
        .order_by(begun.c.incident_id)
    )
    return tuple(
        NightIncident(
            incident_id=row.incident_id,
            hole=Hole(row.kind, row.name, MissedNight(row.partition_key, row.lacks, row.why)),
            found_by=row.run_id,
            found_at=row.recorded_at,
            ended_by=row.ended_by,
            ended_at=row.ended_at,
        )
        for row in connection.execute(query)
    )
