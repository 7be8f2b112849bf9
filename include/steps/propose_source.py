"""Propose a source from a file that nobody has described.

What belongs here: what becomes of a guess: names, types, a key, a time, rules; for a person to read and correct. What
does not: guessing (``adapters.sources.guessing``), a format of a source that is there (``propose_format``), and writing
it down (``write_source``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from include.adapters.sources.guessing import ColumnGuess, FileGuess, guess_file
from include.adapters.sources.source_files import ROWS_AT_ONCE, local_file, open_source
from include.errors import UnreadableInputError, UsageError
from include.quality.formats import Family, FileColumn
from include.quality.sql import columns as listed
from include.specs.conditions import written
from include.specs.dialect import DEFAULT_DIALECT
from include.specs.source_formats import CANONICAL
from include.specs.source_rules import DAY, RECEIVED_AT

if TYPE_CHECKING:
    from include.adapters.compute.duckdb_compute import DuckDbCompute

# The format of a proposed source whose files are not in its own columns.
EXPORT = "export"
# The column that identifies a line where nothing in the file does.
LINE = "line_key"

_TYPES = {Family.TEXT: "string", Family.WHOLE: "int64", Family.NUMBER: "float64", Family.TIME: "timestamp"}
# Names as people give them to keys, and to columns that name somebody.
_KEYISH = re.compile(r"(?:^|_)(?:id|no|nr|number|num|key|code|uuid)$")
_PERSON = re.compile(r"^(?:customer|client|user|person|member|patient|subscriber|employee|kunde|email)")


@dataclass(frozen=True)
class Proposal:
    """What a file could be described by.

    Attributes
    ----------
    source : str
        The source that it is, or would be, a file of.
    file_format : str
        The format by which the file is read.
    values : mapping of str to object
        As in YAML: a whole source, or what is laid over one to give it a format.
    guess : FileGuess
    to_read : tuple of str
        What a person should look at first, in sentences.
    """

    source: str
    file_format: str
    values: Mapping[str, Any]
    guess: FileGuess
    to_read: tuple[str, ...]


def propose_source(path: Path, name: str, engine: DuckDbCompute) -> Proposal:
    """Propose a source whose files are as this one.

    Parameters
    ----------
    path : Path
    name : str
        Of the source.
    engine : DuckDbCompute
        Looks for a key.

    Raises
    ------
    UsageError
        If the file can't be taken as a table, or no column of it is a time.
    """
    guess = guess_file(local_file(path))
    names = own_names(guess.columns)
    event_time = _find_time(path, guess, names)
    key, why = _find_key(path, guess, engine)
    keys = [names[column] for column in key] or [LINE]
    person = next(filter(_PERSON.match, names.values()), None)
    made = [] if key else [{"name": LINE, "type": "int64", "meaning": "what the line says makes its number"}]
    layout = _layout(guess, names, has_key=bool(key))
    values: dict[str, Any] = {
        "source": name,
        "description": f"Rows as {path.name} has them.",
        "owner": "nobody-yet",
        "key": keys,
        "event_time": event_time,
        "time_zone": "UTC",
        "day_starts": "00:00",
        "people": {"person": person},
        "columns": made + [_column(column, names[column.name], {*keys, person}) for column in guess.columns],
        "rules": _rules(keys, event_time),
    }
    if layout:
        values["formats"] = {EXPORT: layout}
    said = (why, *unclear(guess), *_about_people(person))
    return Proposal(name, EXPORT if layout else CANONICAL, values, guess, said)


def _find_time(path: Path, guess: FileGuess, names: Mapping[str, str]) -> str:
    times = [names[column.name] for column in guess.columns if column.family is Family.TIME]
    if found := [name for name in times if name != RECEIVED_AT]:
        return found[0]
    raise UsageError(
        f"{path.name}: no column seems to be a time, and a source needs when its rows happened; columns: "
        f"{', '.join(names)}. Where one of them is, write the source by hand, with time_patterns in its format; where "
        "none is, export the file again with one"
    )


def own_names(found: Sequence[ColumnGuess]) -> dict[str, str]:
    """Return a name for each column of a file, as columns of a source are named."""
    names: dict[str, str] = {}
    taken = {DAY}
    for column in found:
        plain = unicodedata.normalize("NFKD", column.name).encode("ascii", "ignore").decode()
        name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()).strip("_")
        name = name if re.match("[a-z]", name) else f"column_{name}".rstrip("_")
        if name == RECEIVED_AT and column.family is not Family.TIME:
            name = "received"
        free = next(each for each in chain([name], (f"{name}_{n}" for n in range(2, 10_000))) if each not in taken)
        taken.add(free)
        names[column.name] = free
    return names


def _column(column: ColumnGuess, name: str, ids: Collection[str | None]) -> dict[str, Any]:
    made = file_column(column)
    kind = "id" if name in ids and made["type"] in ("string", "int64") else made["type"]
    return {**made, "name": name, "type": kind, "meaning": column.name}


def _rules(keys: Sequence[str], event_time: str) -> list[dict[str, Any]]:
    rules = [
        {"name": f"{name}_missing", "kind": "not_null", "column": name, "reason": f"the row has no {name}"}
        for name in dict.fromkeys((*keys, event_time))
    ]
    later = {"name": f"{event_time}_after_as_of", "kind": "not_after_as_of", "column": event_time}
    early = {"name": f"{event_time}_too_early", "kind": "not_before", "column": event_time, "day": date(1980, 1, 1)}
    return [
        *rules,
        {**later, "reason": "the row lies in the future"},
        {**early, "reason": "older than any row"},
        {"name": "duplicate_row", "kind": "unique", "reason": "every column is equal to that of an earlier row"},
    ]


def _layout(guess: FileGuess, names: Mapping[str, str], *, has_key: bool) -> dict[str, Any]:
    """Return the format of the file; empty where its columns are the source's own, written as all are."""
    dialect = dialect_values(guess)
    if has_key and all(own == name for name, own in names.items()):
        return dialect
    made: dict[str, Any] = {own: written(name) for name, own in names.items()}
    identity = {} if has_key else {LINE: {"identity": list(names)}}
    return {**dialect, "file_columns": [file_column(c) for c in guess.columns], "columns": {**identity, **made}}


def _find_key(path: Path, guess: FileGuess, engine: DuckDbCompute) -> tuple[tuple[str, ...], str]:
    """Return the fewest columns that no two rows of the file have equal, and a sentence; none where there are none."""
    known = [FileColumn(c.name, c.family or Family.TEXT, required=False) for c in guess.columns]
    try:
        with (
            TemporaryDirectory(prefix="mlops-key-") as name,
            engine.open_session(purpose="the search for a key") as con,
        ):
            opened = open_source(local_file(path), known, folder=Path(name), dialect=guess.dialect)
            con.register("part", opened.schema.empty_table())
            con.execute("CREATE TABLE found AS SELECT * FROM part")
            for part in opened.parts(rows=ROWS_AT_ONCE):
                con.register("part", part)
                con.execute("INSERT INTO found SELECT * FROM part")
            for key in _candidates(guess.columns, own_names(guess.columns)):
                distinct = f"SELECT count(*) FROM (SELECT DISTINCT {listed(key)} FROM found)"
                if con.execute(distinct).fetchone() == (opened.rows,):
                    return key, f"the key is a guess: no two of the file's {opened.rows:,} rows have equal {_all(key)}"
    except UnreadableInputError as err:
        return (), f"a key was not looked for, as the file can't be read to its end by this guess: {err}"
    return (), f"no columns were found that tell rows apart: all of them together make {LINE}"


def _candidates(found: Sequence[ColumnGuess], own: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Give what may tell rows apart, the likeliest first: a name alone, with another column, a time alone."""
    whole = [column for column in found if not column.null_share and column.family is not Family.NUMBER]
    names = [column.name for column in whole if _is_name(column.family, own[column.name])]
    times = [column.name for column in whole if column.family is Family.TIME]
    keys = chain(product(names), product(names, [column.name for column in whole]), product(times))
    return filter(_are_different, keys)


def _is_name(family: Family | None, name: str) -> bool:
    return family is Family.TEXT or _KEYISH.search(name) is not None


def _are_different(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names)


def _all(names: Sequence[str]) -> str:
    return " and ".join(names)


def unclear(guess: FileGuess) -> Iterator[str]:
    """Say of which columns it can't be told how their times are written, and which can't be named."""
    if guess.left_out:
        yield (
            f"columns without a name of their own are left out, and not read: {', '.join(guess.left_out)}; where one "
            "is needed, name it in the file"
        )
    for column in guess.columns:
        if len(column.time_patterns) > 1:
            patterns = " and by ".join(column.time_patterns)
            yield f"the times of {column.name} can be read by {patterns}: name the right one"


def _about_people(person: str | None) -> Iterator[str]:
    if person is None:
        yield "no column seems to name a person: if one does, say so under people, or nobody can be erased"


def dialect_values(guess: FileGuess) -> dict[str, Any]:
    """Return what of the way a file is written is not as everywhere."""
    found = guess.dialect
    said = {
        "delimiter": found.delimiter,
        "decimal": found.decimal,
        "thousands": found.thousands,
        "encoding": found.encoding,
        "time_patterns": list(found.time_patterns),
    }
    usual = {**{name: getattr(DEFAULT_DIALECT, name) for name in said}, "time_patterns": []}
    return {name: value for name, value in said.items() if value != usual[name]}


def file_column(column: ColumnGuess) -> dict[str, Any]:
    """Return a column of a format's files."""
    kind = _TYPES[column.family] if column.family else "string"
    optional = {"required": False} if column.null_share or column.family is None else {}
    return {"name": column.name, "type": kind, **optional}
