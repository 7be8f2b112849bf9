"""Source specs: YAML in, frozen values out, every mistake found at load.

What belongs here: the schema of ``include/config/sources``: a source's columns, key, clock and people. What does not:
its rules and formats, which are beside this file, the SQL that they become, and reading a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from include import partitions
from include.errors import SpecError, nearest
from include.specs.source_formats import CANONICAL, FormatSpec, check_once
from include.specs.source_rules import DAY, RECEIVED_AT, RULES_OF_ALL, ColumnType, Rule, Where, check_types, check_where
from include.specs.source_sections import PeopleSpec, SourceColumn, WatchedSpec
from include.specs.yaml_files import (
    CONFIG_ROOT,
    Frozen,
    Identifier,
    Name,
    Owner,
    kept,
    read_spec,
    spec_folders,
    spec_names,
    validated,
)
from include.tables import People, TableSpec, Word, deliveries_table, quarantine_table, raw_table

_WORDS: dict[ColumnType, Word] = {
    "id": "string",
    "string": "string",
    "int64": "int64",
    "float64": "float64",
    "timestamp": "instant",
}

# Its end can be told.
_LAST_DAY = "9998-12-31"


class SourceSpec(Frozen):
    """A source: a table that comes in, its columns and rules both in order.

    ``time_zone`` is that of times without a zone, and of the deliverer's day, which begins at ``day_starts`` and is
    over 24 hours of that clock later: by then a row that says nothing of it was received.
    """

    source: Annotated[Name, Field(description="the file's name")]
    description: Annotated[str, Field(description="what one row is")]
    owner: Owner
    dag_id: Annotated[str | None, Field(description="of the DAG that takes its nights; null: ingest__SOURCE")] = None
    key: Annotated[
        tuple[str, ...], Field(strict=False, min_length=1, description="columns that tell one row from another")
    ]
    event_time: Annotated[str, Field(description="the column that says when a row happened")]
    sorted_by: Annotated[
        tuple[str, ...], Field(strict=False, description="columns by which a day is sorted, before its key")
    ] = ()
    time_zone: Annotated[
        str, Field(description="IANA name: of times that have no zone, and of the deliverer's day")
    ] = "UTC"
    day_starts: Annotated[
        str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="when the deliverer's day begins, by that clock")
    ] = "00:00"
    people: PeopleSpec
    columns: Annotated[tuple[SourceColumn, ...], Field(strict=False, min_length=1)]
    rules: Annotated[
        tuple[Annotated[Rule, Field(discriminator="kind")], ...],
        Field(strict=False, description="a row is set aside under the first that it breaks"),
    ]
    counted: Annotated[
        Mapping[Identifier, Where], Field(description="rows that the account counts beside others, by a name")
    ] = Field(default_factory=dict)
    watched: Annotated[tuple[WatchedSpec, ...], Field(strict=False)] = ()
    formats: Annotated[Mapping[str, FormatSpec], Field(description="how other files become rows, by a name")] = Field(
        default_factory=dict
    )

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def typed_names(self) -> tuple[str, ...]:
        """Names of the columns that a row has before it is judged: those of the table, but for its day."""
        return tuple(dict.fromkeys((*self.column_names, RECEIVED_AT)))

    @property
    def ingest_dag_id(self) -> str:
        """The DAG that takes a night's delivery."""
        return self.dag_id or f"ingest__{self.source}"

    @property
    def reasons(self) -> dict[str, str]:
        """The human reason of every rule, those of all sources last, by name."""
        return {rule.name: rule.reason for rule in self.rules} | RULES_OF_ALL

    @property
    def format_names(self) -> tuple[str, ...]:
        """The formats that its files may have."""
        return tuple(dict.fromkeys((CANONICAL, *self.formats)))

    @property
    def day_offset(self) -> timedelta:
        """How long after midnight of its clock the deliverer's day begins."""
        starts = time.fromisoformat(self.day_starts)
        return timedelta(hours=starts.hour, minutes=starts.minute)

    def end_of_day(self, day: str) -> datetime:
        """Return when a day of the deliverer's clock is over.

        A local time that the zone has twice is the second one; one that it leaves out is read with the offset before.
        """
        midnight = datetime.combine(partitions.parse(day) + timedelta(days=1), time()) + self.day_offset
        zone = ZoneInfo(self.time_zone)
        folds = (midnight.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        return min(folds, key=lambda at: at.utcoffset() or timedelta()).astimezone(UTC)

    def last_over(self, at: datetime) -> str:
        """Return the last day of the deliverer's clock that was over at some time: none after it can have arrived."""
        day = min(partitions.key_of(at.astimezone(UTC).date()), _LAST_DAY)
        while self.end_of_day(day) > at:
            day = partitions.shift(day, -1)
        return day

    def over_after(self, day: str) -> timedelta:
        """Return how long a day of the deliverer's clock lasts beyond the UTC day of that name; never below zero."""
        return max(self.end_of_day(day) - partitions.end_of(day), timedelta())

    @property
    def longest_after(self) -> timedelta:
        """The longest of `over_after`: that of a year tells of winter and summer."""
        return max(map(self.over_after, partitions.span("2025-01-01", "2025-12-31")))

    def partitions_of(self, day: str) -> list[str]:
        """Return the partitions, UTC days, that a day of the deliverer's clock has a part in; in order."""
        first = self.end_of_day(partitions.shift(day, -1))
        last = max(first, self.end_of_day(day) - timedelta(microseconds=1))
        return partitions.span(partitions.key_of(first.date()), partitions.key_of(last.date()))

    @property
    def raw(self) -> TableSpec:
        """The table of its rows."""
        columns = {column.name: _WORDS[column.type] for column in self.columns}
        order = tuple(dict.fromkeys((*self.sorted_by, *self.key)))
        return raw_table(self.source, columns, key=self.key, sorted_by=order, people=self.people_columns)

    @property
    def quarantine(self) -> TableSpec:
        """The table of what was set aside."""
        return quarantine_table(self.source)

    @property
    def deliveries(self) -> TableSpec:
        """The log of what came, by day and file."""
        return deliveries_table(self.source)

    @property
    def people_columns(self) -> People:
        """Whose data its columns are."""
        named = {self.people.person} if self.people.person else set()
        nameless = self.people.nameless if self.people.person else self.column_names
        return People(frozenset(named), frozenset(self.people.belongs), frozenset(nameless))

    @field_validator("time_zone")
    @classmethod
    def _time_zone_is_known(cls, value: str) -> str:
        return check_time_zone(value)

    @model_validator(mode="after")
    def _names_are_there_once(self) -> SourceSpec:
        names = (*self.column_names, DAY) + (() if RECEIVED_AT in self.column_names else (RECEIVED_AT,))
        rules = (*(rule.name for rule in self.rules), *RULES_OF_ALL)
        check_once("column", names)
        check_once("rule", rules)
        return self

    @model_validator(mode="after")
    def _columns_are_there(self) -> SourceSpec:
        for where, named in self._named_columns():
            if named not in self.column_names:
                raise ValueError(
                    f"{where} names column {named!r}; allowed: {', '.join(self.column_names)}"
                    f"{nearest(named, self.column_names)}"
                )
        return self

    @model_validator(mode="after")
    def _types_fit(self) -> SourceSpec:
        types = {column.name: column.type for column in self.columns}
        if types[self.event_time] != "timestamp":
            raise ValueError(f"event_time={self.event_time!r} is of type {types[self.event_time]}; allowed: timestamp")
        if types.get(RECEIVED_AT, "timestamp") != "timestamp":
            raise ValueError(f"column {RECEIVED_AT!r} is of type {types[RECEIVED_AT]}; allowed: timestamp")
        for rule in self.rules:
            check_types(rule, types)
        for watched in self.watched:
            if types[watched.column] not in ("int64", "float64"):
                raise ValueError(f"watched {watched.name!r} is of {watched.column!r}, which is no number")
            if watched.where is not None:
                check_where(f"watched {watched.name!r}", watched.where, types)
        for name, where in self.counted.items():
            check_where(f"counted.{name}", where, types)
        return self

    @model_validator(mode="after")
    def _key_and_time_may_not_be_missing(self) -> SourceSpec:
        # Rows without them have no place in the table.
        held = {column for rule in self.rules if rule.kind in ("not_null", "finite") for column in rule.reads}
        for column in (*self.key, self.event_time):
            if column not in held:
                raise ValueError(
                    f"no rule refuses a row without {column!r}, which is of its key or its time; add "
                    f"{{name: {column}_missing, kind: not_null, column: {column}, reason: …}}"
                )
        return self

    @model_validator(mode="after")
    def _one_rule_of_equal_rows(self) -> SourceSpec:
        if sum(rule.kind == "unique" for rule in self.rules) > 1:
            raise ValueError("there are two rules of kind 'unique'; allowed: one")
        return self

    def _named_columns(self) -> list[tuple[str, str]]:
        """Return the columns that the spec names, each beside where."""
        people = self.people
        named: list[tuple[str, Iterable[str | None]]] = [
            ("key", self.key),
            ("event_time", (self.event_time,)),
            ("sorted_by", self.sorted_by),
            ("people", (people.person, *people.belongs, *people.refers, *people.nameless)),
        ]
        named += [(f"rule {rule.name!r}", rule.reads) for rule in self.rules]
        named += [(f"counted.{name}", (where.column,)) for name, where in self.counted.items()]
        named += [(f"watched {each.name!r}", each.reads) for each in self.watched]
        named += [(f"formats.{name}.columns", each.columns) for name, each in self.formats.items()]
        return [(where, name) for where, names in named for name in names if name is not None]


def check_time_zone(name: str) -> str:
    """Return an IANA name of a time zone.

    Raises
    ------
    ValueError
        If it is none.
    """
    if name not in _time_zones():
        raise ValueError(f"time zone {name!r} is not known; write an IANA name such as Europe/London{_near(name)}")
    return name


def _near(name: str) -> str:
    return nearest(name, sorted(_time_zones()))


@cache
def _time_zones() -> set[str]:
    """Return the IANA names of this machine's time zones, for which all their files are looked at."""
    return available_timezones()


def source_names() -> tuple[str, ...]:
    """Return the names of this deployment's sources, in order: those that ship, and those that the overlay adds."""
    return spec_names(source_folders())


def source_folders() -> tuple[Path, ...]:
    """Return the folders that sources are read from."""
    return spec_folders(CONFIG_ROOT / "sources")


def load_sources() -> tuple[SourceSpec, ...]:
    """Return every source of this deployment, ordered by name."""
    return tuple(load_source(name) for name in source_names())


def load_source(name: str) -> SourceSpec:
    """Return one source's spec.

    Raises
    ------
    SpecError
        If there is no such source, or a value isn't allowed.
    """
    return _load_source(name, source_folders())


def load_people() -> People:
    """Return whose data the columns of the sources are that stand: another one takes down what reads it alone."""
    found, unread = [], []
    for name in source_names():
        try:
            found.append(load_source(name).people_columns)
        except SpecError:
            unread.append(name)
    return replace(People.of(found), unread=tuple(unread))


@kept
def _load_source(name: str, folders: tuple[Path, ...]) -> SourceSpec:
    # A deployment's own files may be of a format that no other has.
    values, path = read_spec(folders, name, kind="source", growing=("formats",))
    spec = validated(SourceSpec, values, path)
    if spec.source != path.stem:
        raise SpecError(f"{path.name}: source={spec.source!r} is not the file's name; write {path.stem!r}")
    if spec.dag_id not in (None, own := f"ingest_{spec.source}"):
        raise SpecError(
            f"{path.name}: dag_id={spec.dag_id!r} may be another source's, whose nights would not be taken; write "
            f"{own!r}, or leave it out"
        )
    return spec
