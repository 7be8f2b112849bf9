"""Judged rows as they are kept: those that were taken, those that were set aside, and how many of each.

What belongs here: SELECTs over the tables ``judged``, ``files`` and ``reasons``, and the files' rows beside them. What
does not: the verdict (``verdict``), and running them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from include.quality.formats import DELIVERED
from include.quality.merge import SAYS_RECEIVED
from include.quality.sql import column, columns, literal
from include.quality.verdict import counted_sql, deliverers_day_sql, event_day_sql, known_at_sql
from include.specs.source_rules import DAY, RECEIVED_AT, SUPERSEDED, UniqueRule
from include.specs.sources import SourceSpec


def delivered(number: int) -> str:
    """Return the name of the table that has the rows of a file."""
    return f"{DELIVERED}_{number}"


def count_sql(spec: SourceSpec) -> str:
    """Return the SELECT of file, day, rule, the deliverer's day of taken rows, rows, and what the source counts."""
    # Outside its year range a time that was rejected would overflow.
    night = f"CASE WHEN _rule IS NULL THEN {deliverers_day_sql(spec)} END"
    listed = f"_file, {event_day_sql(spec)}, _rule, {night}, count(*){counted_sql(spec.counted)}"
    return f"SELECT {listed} FROM judged GROUP BY ALL"


def taken_sql(spec: SourceSpec, *, delivered_by: datetime | None) -> str:
    """Return the SELECT of the rows that were taken, in the columns of the source's table, with their place."""
    known_at = known_at_sql(spec, delivered_by=delivered_by)
    made = {RECEIVED_AT: known_at, DAY: event_day_sql(spec)}
    listed = ", ".join(f"{made.get(name, column(name))} AS {column(name)}" for name in spec.raw.schema)
    says = f"judged.{RECEIVED_AT} IS NOT NULL AS {SAYS_RECEIVED}"
    return f"SELECT {listed}, _file, _row, {says} FROM judged WHERE _rule IS NULL"


def set_aside_sql(spec: SourceSpec, schemas: Sequence[pa.Schema], *, partition: str | None) -> str:
    """Return the SELECT of the rows that were not, in the columns of the quarantine, and ``_file``.

    Parameters
    ----------
    spec : SourceSpec
    schemas : sequence of pyarrow.Schema
        Of the files; the rows of each are in the table that `delivered` names.
    partition : str or None
        The day that a night's delivery is of.
    """
    sides = []
    for number, schema in enumerate(schemas):
        fields = ", ".join(f"{column(field.name)} := {_as_json(field)}" for field in schema)
        sides.append(
            f"SELECT {number} AS _file, delivered._row, CAST(to_json(struct_pack({fields})) AS VARCHAR) AS said "
            f"FROM {delivered(number)} AS delivered SEMI JOIN (SELECT _row FROM judged WHERE _file = {number} AND "
            f"_rule IS NOT NULL) AS set_aside ON set_aside._row = delivered._row"
        )
    return f"""
SELECT files.source, judged._row AS row_number, reasons.rule, reasons.reason,
  judged._day AS dt,
  CAST({literal(partition) if partition else "NULL"} AS VARCHAR) AS delivered, said.said AS "row", judged._file
FROM (SELECT *, {event_day_sql(spec)} AS _day FROM judged) AS judged
JOIN files USING (_file) JOIN reasons ON reasons.rule = judged._rule
JOIN ({" UNION ALL ".join(sides)}) AS said ON said._file = judged._file AND said._row = judged._row
"""


def rejected_sql(spec: SourceSpec) -> str:
    """Return the keys of rows that broke a rule by themselves, so that what they were to correct can be told."""
    others = [SUPERSEDED, *(rule.name for rule in spec.rules if isinstance(rule, UniqueRule))]
    has_key = " AND ".join(f"{column(name)} IS NOT NULL" for name in spec.key)
    return (
        f"SELECT _file, {event_day_sql(spec)} AS day, {columns(spec.key)} FROM judged "
        f"WHERE _rule NOT IN ({', '.join(map(literal, others))}) AND {has_key}"
    )


def _as_json(field: pa.Field) -> str:
    name = f"delivered.{column(field.name)}"
    if not pa.types.is_floating(field.type):
        return name
    # JSON has no infinity: it is written as a word.
    return f"CASE WHEN isfinite({name}) THEN to_json({name}) ELSE to_json(CAST({name} AS VARCHAR)) END"
