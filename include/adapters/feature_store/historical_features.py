"""From Feast's views and references to the point-in-time join, and the checks of what is asked for.

What belongs here: what a view wants of its table, and whether the entity rows and the table can give it.
What does not: the join (``include.adapters.feature_store.as_of_join``), and Feast's calls (``delta_offline_store``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView
from feast.types import from_feast_to_pyarrow_type

from include.adapters.feature_store.as_of_join import FeatureRows, features_as_of
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.span import Span
from include.column_types import is_instant, is_lossless, key_family
from include.errors import MlopsError, UsageError, nearest
from include.features.checks import EVENT_TIMESTAMP

_INSTANT = pa.timestamp("us", tz="UTC")
_DAWN = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Wanted:
    """What is taken from a view's table.

    Attributes
    ----------
    view, table : str
        For messages.
    features : dict of str to str
        Stored name of each feature, and the name that it gets.
    keys : dict of str to str
        Stored name of each join key, and the entity rows' column.
    declared : dict of str to pyarrow.DataType
        Types that the view declares, by stored name; those that Feast doesn't tell are left out.
    event, created : str
        Stored names of the times; None where a row is known from its event on.
    ttl : timedelta or None
        Zero counts as None: no limit.
    """

    view: str
    table: str
    features: dict[str, str]
    keys: dict[str, str]
    declared: dict[str, pa.DataType]
    event: str
    created: str | None
    ttl: timedelta | None

    @classmethod
    def of(cls, view: FeatureView, feature_refs: Sequence[str], *, full_feature_names: bool) -> Wanted:
        """Read off a view what some references want of it.

        Raises
        ------
        UsageError
            If the view has no such feature.
        """
        source, projection = view.batch_source, view.projection
        asked = _asked_of(projection.name_to_use(), feature_refs)
        kinds = _arrow_types(view, asked)
        stored = {new: old for old, new in source.field_mapping.items()}
        prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
        renamed = projection.join_key_map
        created = source.created_timestamp_column
        return cls(
            view=view.name,
            table=source.path,
            features={stored.get(name, name): prefix + name for name in asked},
            keys={stored.get(key.name, key.name): renamed.get(key.name, key.name) for key in view.entity_columns},
            declared={stored.get(name, name): kind for name, kind in kinds.items()},
            event=stored.get(source.timestamp_field, source.timestamp_field),
            created=stored.get(created, created) if created else None,
            ttl=view.ttl or None,
        )


def entity_rows(frame: pd.DataFrame) -> pa.Table:
    """Return a frame of entity rows as a table, its times aware.

    Raises
    ------
    UsageError
        If the frame has no column ``event_timestamp``, its times are naive or no times, a column holds
        values of several types, or two columns have one name.
    """
    twice = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
    if twice:
        raise UsageError(f"the entity rows have two columns {twice[0]!r}; keep one")
    try:
        rows = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as err:
        raise UsageError(
            f"the entity rows can't be taken: {' '.join(str(part) for part in err.args)}; give each column one type"
        ) from err
    return checked_entities(rows)


def checked_entities(rows: pa.Table) -> pa.Table:
    """Return entity rows whose times are timestamps with a time zone.

    Raises
    ------
    UsageError
        If there is no column ``event_timestamp``, or its times are naive, or it holds something else.
    """
    if EVENT_TIMESTAMP not in rows.column_names:
        raise UsageError(
            f"the entity rows have no column {EVENT_TIMESTAMP!r}; they have {', '.join(rows.column_names)}"
            f"{nearest(EVENT_TIMESTAMP, rows.column_names)}"
        )
    position, found = rows.column_names.index(EVENT_TIMESTAMP), rows[EVENT_TIMESTAMP].type
    if is_instant(found):
        return rows
    if rows[EVENT_TIMESTAMP].null_count == rows.num_rows:
        return rows.set_column(position, EVENT_TIMESTAMP, pa.nulls(rows.num_rows, _INSTANT))
    if pa.types.is_timestamp(found):
        raise UsageError(
            f"{EVENT_TIMESTAMP} of the entity rows is naive ({found}); say which time zone it is in, "
            f"e.g. frame[{EVENT_TIMESTAMP!r}].dt.tz_localize('UTC')"
        )
    raise UsageError(
        f"{EVENT_TIMESTAMP} of the entity rows is {found}; it must hold times with a time zone, "
        f"e.g. pd.to_datetime(frame[{EVENT_TIMESTAMP!r}], utc=True)"
    )


def with_features(rows: pa.Table, entities: pa.Table, wanted: Wanted, lake: LakeAdapter, *, known_at: bool) -> pa.Table:
    """Return `rows` with a view's features after them, as `entities` (the same rows) see them.

    Raises
    ------
    UsageError
        If a feature's name is taken, or a join key is absent or of another type than the table's.
    MlopsError
        If the table isn't there, or no longer has what the view declares.
    """
    if taken := sorted(set(wanted.features.values()) & set(rows.column_names)):
        raise UsageError(f"entity rows already have the columns {taken}; rename them, or leave them out")
    if lacking := [name for name in wanted.keys.values() if name not in entities.column_names]:
        raise UsageError(
            f"entity rows lack the columns {lacking}; {wanted.view} joins on {[*wanted.keys.values(), EVENT_TIMESTAMP]}"
        )
    stored = lake.dataset(wanted.table, within=_span(entities[EVENT_TIMESTAMP], wanted))
    _check_table(stored.schema, wanted)
    keys = [_key(entities[name], stored.schema.field(key).type, name, wanted) for key, name in wanted.keys.items()]
    found = features_as_of(
        FeatureRows(stored, tuple(wanted.keys), wanted.event, wanted.created, tuple(wanted.features)),
        keys,
        entities[EVENT_TIMESTAMP],
        ttl=wanted.ttl,
        known_at=known_at,
    )
    for stored_name, name in wanted.features.items():
        rows = rows.append_column(name, _declared(found[stored_name], stored_name, wanted))
    return rows


def _span(at: pa.ChunkedArray, wanted: Wanted) -> Span:
    """Return the events that any of the entity rows can see."""
    # Rounded down: no stored time is finer than a microsecond, and the bounds need not be tight.
    bounds = pc.min_max(pc.cast(at, _INSTANT, safe=False)).as_py()
    first, last = bounds["min"], bounds["max"]
    if first is None or wanted.ttl is None:
        return Span(wanted.event, None, last)
    start = first - wanted.ttl if first - _DAWN > wanted.ttl else _DAWN
    return Span(wanted.event, start, last)


def _check_table(schema: pa.Schema, wanted: Wanted) -> None:
    for name in [*wanted.keys, wanted.event, *([wanted.created] if wanted.created else []), *wanted.features]:
        expected = wanted.declared.get(name)
        if name not in schema.names:
            kind = "a timestamp" if name in (wanted.event, wanted.created) else str(expected or "a value")
            raise MlopsError(
                f"lake table {wanted.table} has no column {name!r}, which feature view {wanted.view} declares as "
                f"{kind}; it has {', '.join(schema.names)}{nearest(name, schema.names)}; rebuild the table, or change "
                "the view and apply it"
            )
        found = schema.field(name).type
        is_right = (
            pa.types.is_timestamp(found)
            if name in (wanted.event, wanted.created)
            else expected is None or is_lossless(found, expected)
        )
        if not is_right:
            raise MlopsError(
                f"lake table {wanted.table}: column {name!r} is {found}, feature view {wanted.view} expects "
                f"{expected or 'a timestamp'}; rebuild the table with that type, or change the view and apply it"
            )


def _key(column: pa.ChunkedArray, stored: pa.DataType, name: str, wanted: Wanted) -> pa.ChunkedArray:
    """Return an entity key, refused where it is of another kind than the table's."""
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), stored)])
    if key_family(column.type) == key_family(stored):
        return column
    cast = {"text": ".astype(str)", "integer": ".astype('int64')"}.get(key_family(stored), f" as {stored}")
    if pa.types.is_floating(column.type) and key_family(stored) == "text":
        cast = ".astype('int64').astype(str)"
    raise UsageError(
        f"entity column {name!r} is {column.type}, but the key of {wanted.table} is {stored}; keys are compared "
        f"exactly (17850.0 is not '17850'), so cast it yourself, e.g. frame[{name!r}]{cast}"
    )


def _declared(column: pa.ChunkedArray, name: str, wanted: Wanted) -> pa.ChunkedArray:
    expected = wanted.declared.get(name)
    if expected is None or column.type == expected:
        return column
    try:
        return column.cast(expected)
    except pa.ArrowInvalid as err:
        raise MlopsError(
            f"lake table {wanted.table}: column {name!r} is {column.type}, and a value of it is no {expected}, which "
            f"feature view {wanted.view} expects ({err}); rebuild the table with that type, or change the view and "
            "apply it"
        ) from err


def _asked_of(view_name: str, feature_refs: Sequence[str]) -> list[str]:
    asked = [ref.partition(":") for ref in feature_refs]
    return [feature for view, _, feature in asked if view == view_name]


def _arrow_types(view: FeatureView, asked: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the declared types of a view's keys and of some of its features, where Arrow has one."""
    known = {field.name: field.dtype for field in view.features}
    for name in asked:
        if name not in known:
            raise UsageError(
                f"feature view {view.name} has no feature {name!r}; it has {', '.join(known)}{nearest(name, known)}"
            )
    columns = {field.name: field.dtype for field in view.entity_columns} | {name: known[name] for name in asked}
    return {name: kind for name, dtype in columns.items() if (kind := _arrow_type(dtype)) is not None}


def _arrow_type(dtype: object) -> pa.DataType | None:
    try:
        return from_feast_to_pyarrow_type(dtype)
    except ValueError:
        return None
