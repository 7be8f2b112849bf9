"""Join a file of feature rows to a file of entity rows, as they stood at each entity row's time.

What belongs here: which columns are joined, and bringing both files' keys and times to one kind. What does not:
the files (``keyed_rows``), the join, which is the offline store's (``point_in_time``), and the printed line.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from include.adapters.feature_store.as_of_join import FeatureRows, TimeUnit, features_as_of
from include.adapters.files.keyed_rows import Rows, open_keyed, read_keyed
from include.adapters.files.tabular import TableFile, local_file, reading, require_columns
from include.adapters.files.writing import writer
from include.column_types import key_family
from include.errors import UsageError
from include.features.checks import CREATED_TIMESTAMP, EVENT_TIMESTAMP

log = logging.getLogger(__name__)

_CREATED = (CREATED_TIMESTAMP, "created")

_TTL = re.compile(r"(\d{1,9})([dhms])")
_TTL_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
# What pandas calls an index that it writes as a column.
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class JoinedFeatures:
    """What was written.

    Attributes
    ----------
    rows : int
        Entity rows.
    features : tuple of str
        Columns that were added.
    read_as_utc : tuple of str
        ``file: column`` for times that have no time zone.
    """

    rows: int
    features: tuple[str, ...]
    read_as_utc: tuple[str, ...]


def join_features(
    entities: Path,
    features: Path,
    out: Path,
    *,
    keys: Sequence[str],
    ttl: timedelta | None = None,
    known_at: bool = True,
) -> JoinedFeatures:
    """Write every entity row, in its order and with its columns, and the features it sees after them.

    Parameters
    ----------
    entities : Path
        Parquet or CSV with the keys and ``event_timestamp``.
    features : Path
        Parquet or CSV with the keys, ``event_timestamp`` and ``created_timestamp`` (or ``created``); every
        other column is a feature.
    out : Path
        Parquet or CSV; replaced whole, or not touched when anything fails. From CSV to CSV every column but the
        entities' times is written as it stood; parquet gets types, but "007" stays text there too.
    keys : sequence of str
        Join columns; of a CSV they are read as text, "" as null.
    ttl : timedelta, optional
        Age at which a feature still counts, inclusive. Default, and zero: any.
    known_at : bool
        See only rows that had been created by the entity row's time.

    Raises
    ------
    UnreadableInputError
        If a file can't be taken as a whole.
    UsageError
        If a column is missing, of the wrong type, or in both files.
    """
    write = writer(out)
    # A CSV gets back what stood in a CSV, to the letter; parquet keeps types.
    as_written = out.suffix.lower() == ".csv"
    asking, storing = local_file(entities), local_file(features)
    asked = read_keyed(asking, keys, [EVENT_TIMESTAMP], as_written=as_written)
    stored = open_keyed(storing, keys, [EVENT_TIMESTAMP, *_CREATED], as_written=as_written)
    for file, names in ((asking, asked.column_names), (storing, stored.schema.names)):
        require_columns(file, names, keys, remedy="name the join column by --key")
        require_columns(file, names, [EVENT_TIMESTAMP], remedy="rename the column of times")
    created = _find_created(stored.schema.names, storing, known_at=known_at)
    times = [EVENT_TIMESTAMP, *([created] if created else [])]
    added = _added(stored.schema.names, [*keys, *times], asked, storing)
    with reading(storing):
        for name in times:
            stored = _with_times(stored, name, storing)
        matched, stored = _matched_kinds(asked, stored, keys, asking, storing)
        matched = _timed(matched, EVENT_TIMESTAMP, asking)
        zones = [(asking, EVENT_TIMESTAMP, matched.schema), *((storing, name, stored.schema) for name in times)]
        found = features_as_of(
            FeatureRows(_as_dataset(stored), tuple(keys), EVENT_TIMESTAMP, created, added),
            [matched[key] for key in keys],
            matched[EVENT_TIMESTAMP],
            ttl=ttl,
            known_at=known_at,
            unit=_finest(schema.field(name).type for _, name, schema in zones),
        )
    for name in added:
        asked = asked.append_column(name, found[name])
    write(asked)
    log.info("join entities=%s features=%s rows=%d columns=%d", entities, features, asked.num_rows, len(added))
    naive = [f"{file.name}: {name}" for file, name, schema in zones if schema.field(name).type.tz is None]
    return JoinedFeatures(asked.num_rows, added, tuple(naive))


def parse_ttl(text: str) -> timedelta:
    """Return the age that a text like ``31d``, ``12h``, ``30m`` or ``45s`` names.

    Examples
    --------
    >>> parse_ttl("12h")
    datetime.timedelta(seconds=43200)

    Raises
    ------
    UsageError
        If it has another form.
    """
    match = _TTL.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--ttl={text!r} is not an age; write a whole number and d, h, m or s: 31d, 12h, 30m, 45s")
    return timedelta(**{_TTL_UNITS[match[2]]: int(match[1])})


def _find_created(names: Sequence[str], features: TableFile, *, known_at: bool) -> str | None:
    created = next((name for name in _CREATED if name in names), None)
    if known_at and created is None:
        raise UsageError(
            f"{features.name} has neither {_CREATED[0]} nor {_CREATED[1]}, so what was known when can't be told; "
            "add one, or join by the event time alone (--no-known-at)"
        )
    return created


def _added(names: Sequence[str], roles: Sequence[str], asked: pa.Table, features: TableFile) -> tuple[str, ...]:
    added = tuple(name for name in names if name not in roles and not _PANDAS_INDEX.fullmatch(name))
    if taken := [name for name in added if name in asked.column_names]:
        raise UsageError(
            f"both files have the columns {', '.join(taken)}; rename them in one file, or leave them out of it"
        )
    if not added:
        raise UsageError(f"{features.name} has no feature: its only columns are {', '.join(names)}; add one to join")
    return added


def _timed(rows: pa.Table, name: str, file: TableFile) -> pa.Table:
    """Return rows whose column `name` is a timestamp; a date is its midnight."""
    found = rows[name]
    if pa.types.is_timestamp(found.type):
        return rows
    if pa.types.is_date(found.type) or found.null_count == len(found):
        return _replaced(rows, name, found.cast(pa.timestamp("us")))
    raise UsageError(
        f"{file.name}: column {name!r} is {found.type}, not times; write ISO times such as 2024-01-31T00:00:00Z, "
        "each of the column with a zone or each without"
    )


def _with_times(stored: Rows, name: str, file: TableFile) -> Rows:
    if pa.types.is_timestamp(stored.schema.field(name).type):
        return stored
    return _timed(_as_table(stored), name, file)


def _matched_kinds(
    asked: pa.Table, stored: Rows, keys: Sequence[str], entities: TableFile, features: TableFile
) -> tuple[pa.Table, Rows]:
    for key in keys:
        asked, stored = _matched_kind(asked, stored, key, entities, features)
    return asked, stored


def _matched_kind(
    asked: pa.Table, stored: Rows, key: str, entities: TableFile, features: TableFile
) -> tuple[pa.Table, Rows]:
    """Return both sides with a key of one kind: a CSV's text becomes whole numbers where the other file has those."""
    one, other = asked[key].type, stored.schema.field(key).type
    if key_family(one) == key_family(other):
        return asked, stored
    if asked[key].null_count == asked.num_rows:
        return _replaced(asked, key, pa.nulls(asked.num_rows, other)), stored
    if entities.is_text and key_family(other) == "integer":
        return _replaced(asked, key, _whole_numbers(asked[key], key, entities)), stored
    if features.is_text and key_family(one) == "integer":
        rows = _as_table(stored)
        return asked, _replaced(rows, key, _whole_numbers(rows[key], key, features))
    raise UsageError(
        f"key {key!r} is {one} in {entities.name} and {other} in {features.name}; keys are compared exactly "
        "(17850.0 is not '17850'), so write the same type into both files"
    )


def _whole_numbers(texts: pa.ChunkedArray, key: str, file: TableFile) -> pa.ChunkedArray:
    is_whole = pc.match_substring_regex(texts, r"^(0|-?[1-9][0-9]{0,17})$")
    wrong = texts.filter(pc.invert(is_whole))
    if len(wrong):
        raise UsageError(
            f"{file.name}: key {key!r} holds {wrong[0].as_py()!r}, but the other file's keys are whole numbers; "
            "write them alike in both files"
        )
    return texts.cast(pa.int64())


def _replaced(rows: pa.Table, name: str, column: pa.ChunkedArray | pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)


def _as_table(stored: Rows) -> pa.Table:
    return stored if isinstance(stored, pa.Table) else stored.to_table()


def _as_dataset(stored: Rows) -> pads.Dataset:
    return pads.dataset(stored) if isinstance(stored, pa.Table) else stored


def _finest(kinds: Iterable[pa.DataType]) -> TimeUnit:
    return "ns" if any(kind.unit == "ns" for kind in kinds) else "us"
