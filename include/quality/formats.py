"""The formats that a source comes in, and how each becomes rows of its table.

What belongs here: the columns that a file of a format has, and the SELECT from them to the source's columns. What does
not: reading a file, and which rows are taken.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from include.errors import UsageError, nearest
from include.quality.sql import column, literal
from include.specs.conditions import check_expression, column_of, quoted
from include.specs.source_formats import INFINITE, ROW_NUMBER, FormatSpec, Identity
from include.specs.source_rules import RECEIVED_AT, ColumnType
from include.specs.source_sections import SourceColumn
from include.specs.sources import SourceSpec


class Family(StrEnum):
    """What the values of a file's column are; each admits several Arrow types."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True)
class FileColumn:
    """A column of a file: its name, what its values are, and whether the file must have it."""

    name: str
    family: Family
    required: bool


# The table of a file's rows.
DELIVERED = "delivered"

_SQL_TYPES: dict[ColumnType, str] = {
    "id": "VARCHAR",
    "string": "VARCHAR",
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "timestamp": "TIMESTAMPTZ",
}

# A column of whole numbers with gaps leaves pandas as floats: 17850 is written as 17850.0.
_FLOAT_KEY = r"([0-9]+)\.0"

# A text, or a time as text, that names its zone; a number that is whole, as text.
_ZONED = r"(?i):[0-9]{2}([.][0-9]+)? ?(z|utc|[+-][0-9]{2}(:?[0-9]{2})?)$"
_WHOLE = r"[-+]?[0-9]+([.]0*)?"

_FAMILIES: dict[ColumnType, Family] = {
    "id": Family.TEXT,
    "string": Family.TEXT,
    "int64": Family.WHOLE,
    "float64": Family.NUMBER,
    "timestamp": Family.TIME,
}


def find_format(spec: SourceSpec, name: str) -> FormatSpec:
    """Return a format of a source.

    Raises
    ------
    UsageError
        If the source has none of that name.
    """
    if name not in spec.format_names:
        known = spec.format_names
        raise UsageError(
            f"format {name!r} of {spec.source} is not known; allowed: {', '.join(known)}{nearest(name, known)}"
        )
    return spec.formats.get(name, FormatSpec())


def file_columns(spec: SourceSpec, name: str) -> tuple[FileColumn, ...]:
    """Return the columns that a file of a format has or may have, in order; the canonical one has the source's own.

    Raises
    ------
    UsageError
        If the source has no such format.
    """
    found = find_format(spec, name).file_columns or spec.columns
    return tuple(FileColumn(c.name, _FAMILIES[c.type], required=c.required) for c in found)


def find_likely_format(spec: SourceSpec, found: Sequence[str]) -> str:
    """Say by which format a file with these columns, which lacks some of its own format's, may be read."""
    for name in spec.format_names:
        if all(column.name in found for column in file_columns(spec, name) if column.required):
            return f"its columns are those of --format {name}"
    return (
        f"rename the columns, name another --format ({', '.join(spec.format_names)}), or make one: "
        f"mlops sources new NAME --for {spec.source} --from FILE"
    )


def event_column(spec: SourceSpec, name: str) -> str:
    """Return the column of a file that says when a row's event was.

    Raises
    ------
    UsageError
        If the source has no such format, or it makes that time of more than one column.
    """
    made = find_format(spec, name).columns.get(spec.event_time, column(spec.event_time))
    named = column_of(made) if isinstance(made, str) else None
    times = [each.name for each in file_columns(spec, name) if each.family is Family.TIME]
    if named not in times:
        raise UsageError(
            f"format {name!r} of {spec.source} makes {spec.event_time} of {made}; name one column of times for it"
        )
    return named


def typed_sql(
    spec: SourceSpec,
    name: str,
    *,
    present: Collection[str],
    naive: Collection[str],
    time_zone: str,
    relation: str = DELIVERED,
) -> str:
    """Return the SELECT from a file's rows to the source's columns.

    Parameters
    ----------
    spec : SourceSpec
    name : str
        The format.
    present : collection of str
        Columns that the file has.
    naive : collection of str
        Its time columns that have no zone.
    time_zone : str
        IANA name of the zone in which those are read, and times that a format makes without a zone.
    relation : str
        The table of the file's rows.

    Returns
    -------
    str
        DuckDB SQL over the relation: the file's columns and ``_row``, the 1-based place in the file. The result
        has ``_row``, the source's columns in order, ``received_at`` in any case, null where the file is silent, and
        ``_infinite``: whether a whole number of the row is, which then is null.

    Notes
    -----
    A local time that a zone has twice, when its clocks go back, is read as the second one, in standard time: a row
    never counts as known too early. A local time that a zone leaves out, when its clocks go forward, is read with the
    offset before the change, as an hour later on the new clock.
    """
    layout = find_format(spec, name)
    types: dict[str, ColumnType] = {c.name: c.type for c in layout.file_columns or spec.columns}
    given = [f"{_given(each, types[each], present, naive, time_zone)} AS {column(each)}" for each in types]
    infinite = _infinite_sql([each for each in present if types.get(each) == "int64"])
    made = [f"{_made(layout, each, time_zone)} AS {column(each.name)}" for each in spec.columns]
    if RECEIVED_AT not in spec.column_names:
        made.append(f"CAST(NULL AS TIMESTAMPTZ) AS {RECEIVED_AT}")
    return (
        f"SELECT {ROW_NUMBER}, {', '.join(made)}, {INFINITE} FROM "
        f"(SELECT {ROW_NUMBER}, {', '.join(given)}, {infinite} AS {INFINITE} FROM {relation})"
    )


def _infinite_sql(whole: Collection[str]) -> str:
    return " OR ".join(f"coalesce(isinf(CAST({column(each)} AS DOUBLE)), false)" for each in whole) or "false"


def _given(name: str, type_: ColumnType, present: Collection[str], naive: Collection[str], time_zone: str) -> str:
    """Return a file's column as a value of its type; null where the file has none."""
    given = column(name)
    if name not in present:
        return f"CAST(NULL AS {_SQL_TYPES[type_]})"
    if type_ == "timestamp":
        return f"timezone({literal(time_zone)}, {given})" if name in naive else given
    if type_ == "int64":
        return f"CASE WHEN isfinite(CAST({given} AS DOUBLE)) THEN CAST({given} AS BIGINT) END"
    if type_ == "float64":
        return f"CAST({given} AS DOUBLE)"
    return _id_sql(given) if type_ == "id" else given


def _id_sql(given: str) -> str:
    # A pattern is slow, and few keys have a point.
    return rf"CASE WHEN contains({given}, '.') THEN regexp_replace({given}, '^{_FLOAT_KEY}$', '\1') ELSE {given} END"


def _made(layout: FormatSpec, target: SourceColumn, time_zone: str) -> str:
    """Return a column of the source from those of a file."""
    rule = layout.columns.get(target.name) if layout.file_columns else column(target.name)
    if isinstance(rule, Identity):
        made = _identity(rule)
    elif rule is None:
        made = f"CAST(NULL AS {_SQL_TYPES[target.type]})"
    else:
        types = {each.name: each.type for each in layout.file_columns} or {target.name: target.type}
        made = _converted(rule, types.get(column_of(rule) or ""), target, time_zone)
    return made if target.default is None else f"coalesce({made}, {literal(target.default)})"


def _converted(rule: str, given: ColumnType | None, target: SourceColumn, time_zone: str) -> str:
    """Return what an expression says, exactly, or an error; `given` is its type where it is a column of a file."""
    # The line break ends a comment that the expression may end with.
    said = f"({quoted(rule)}\n)"
    text = f"CAST({said} AS VARCHAR)"
    cast = f"CAST({said} AS {_SQL_TYPES[target.type]})"
    if given == target.type:
        return cast
    if target.type == "timestamp":
        naive = f"timezone({literal(time_zone)}, CAST({said} AS TIMESTAMP))"
        return f"CASE WHEN regexp_matches({text}, {literal(_ZONED)}) THEN {cast} ELSE {naive} END"
    if target.type == "int64":
        # SQL would round.
        return _exactly(cast, f"regexp_full_match({text}, {literal(_WHOLE)})", "no whole number", said, target)
    if target.type == "float64" and given == "int64":
        return _exactly(cast, f"abs({said}) <= {2**53}", "no number that a float holds", said, target)
    return cast


def _exactly(cast: str, holds: str, reason: str, said: str, target: SourceColumn) -> str:
    told = literal(f"{target.name} is {reason}: ")
    return f"CASE WHEN {holds} THEN {cast} WHEN {said} IS NOT NULL THEN error(concat({told}, {said})) END"


def _identity(made: Identity) -> str:
    # 52 bits of a digest over what the columns say; a text can't be mistaken for a null, or for two texts.
    texts = ", ".join(f"CAST({column(name)} AS VARCHAR)" for name in made.identity)
    return f"CAST(concat('0x', left(md5(CAST(to_json([{texts}]) AS VARCHAR)), 13)) AS BIGINT)"


def columns_named(spec: SourceSpec, target: str) -> frozenset[str]:
    """Return the columns in which files of any format say what stands in a column of the source, or refer to it."""
    own = {target, *(name for name, referred in spec.people.refers.items() if referred == target)}
    made = (layout.columns.get(name) for layout in spec.formats.values() for name in own)
    named = (column_of(each) for each in made if isinstance(each, str))
    return frozenset({*own, *(name for name in named if name is not None)})


def made_sql(spec: SourceSpec, target: str) -> tuple[str, ...]:
    """Return what rows that were set aside say in a column of the source that formats make by expressions.

    Returns
    -------
    tuple of str
        For each expression that is more than a column a DuckDB SELECT over table ``aside`` of ``place`` and ``row``, a
        delivered row as JSON: one text for each row, in order of place; null where the row is of another format, or
        the expression can't be computed.
    """
    own = {target, *(name for name, referred in spec.people.refers.items() if referred == target)}
    return tuple(
        _made_of_json(layout, rule)
        for layout in spec.formats.values()
        for name, rule in layout.columns.items()
        if name in own and isinstance(rule, str) and column_of(rule) is None
    )


def _made_of_json(layout: FormatSpec, rule: str) -> str:
    given = ", ".join(f"{_of_json(each.name, each.type)} AS {column(each.name)}" for each in layout.file_columns)
    read = ", ".join(map(literal, check_expression(rule)))
    made = f"TRY(CAST(({quoted(rule)}\n) AS VARCHAR))"
    return (
        f'SELECT CASE WHEN list_has_all(json_keys("row"), CAST([{read}] AS VARCHAR[])) THEN {made} END '
        f'FROM (SELECT place, "row", {given} FROM aside) ORDER BY place'
    )


def _of_json(name: str, type_: ColumnType) -> str:
    path = '$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f'TRY_CAST(json_extract_string("row", {literal(path)}) AS {_SQL_TYPES[type_]})'


def normal_key(text: str) -> str:
    """Return an id as the tables hold it, whatever a file wrote: what `typed_sql` does to a column of ids.

    Examples
    --------
    >>> normal_key("17850.0"), normal_key("17850"), normal_key("A.0")
    ('17850', '17850', 'A.0')
    """
    found = re.fullmatch(_FLOAT_KEY, text)
    return found.group(1) if found else text
