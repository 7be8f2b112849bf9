"""Propose a format of a source from a file that nobody has described.

What belongs here: which column of the file is which of the source, for a person to read and correct. What does not: a
source of its own (``propose_source``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from include.adapters.sources.guessing import ColumnGuess, FileGuess, guess_file
from include.adapters.sources.source_files import local_file
from include.quality.formats import Family
from include.specs.conditions import renamed, written
from include.specs.source_formats import FileColumnSpec, FormatSpec, Identity
from include.specs.source_rules import ColumnType
from include.specs.sources import SourceSpec
from include.steps.propose_source import Proposal, dialect_values, file_column, own_names, unclear

# The columns of a file, what becomes of them, and how they were found.
_Made: TypeAlias = tuple[list[dict[str, Any]], dict[str, Any], str]

_FITS: Mapping[ColumnType, tuple[Family, ...]] = {
    "id": (Family.TEXT, Family.WHOLE),
    "string": (Family.TEXT, Family.WHOLE),
    "int64": (Family.WHOLE,),
    "float64": (Family.NUMBER, Family.WHOLE),
    "timestamp": (Family.TIME,),
}


def propose_format(path: Path, name: str, spec: SourceSpec) -> Proposal:
    """Propose a format of a source for files as this one: by a format whose columns are alike, or by names and types.

    Raises
    ------
    UsageError
        If the file can't be taken as a table.
    """
    guess = guess_file(local_file(path))
    by = next(_alike(spec, guess), None)
    columns, made, how = _by_source(spec, guess) if by is None else _by_format(guess, *by)
    lacking = [c.name for c in spec.columns if c.required and c.name not in made]
    missing = (f"nothing was found for {', '.join(lacking)}: write an expression for each",) if lacking else ()
    values = {"formats": {name: {**dialect_values(guess), "file_columns": columns, "columns": made}}}
    return Proposal(spec.source, name, values, guess, (how, *missing, *unclear(guess)))


def _by_format(guess: FileGuess, layout: FormatSpec, pairs: Mapping[str, str]) -> _Made:
    known = {column.name: column for column in guess.columns}
    columns = [{**file_column(known[pairs[c.name]]), "type": c.type} for c in layout.file_columns]
    made = {target: _with_names(expression, pairs) for target, expression in layout.columns.items()}
    return columns, made, f"its columns were paired with those of another format by their types: {_told(pairs)}"


def _by_source(spec: SourceSpec, guess: FileGuess) -> _Made:
    pairs = _pair_with_source(spec, guess)
    types = _types(spec)
    wanted = {name: types[target] for target, name in pairs.items()}
    columns = [file_column(column) for column in guess.columns]
    columns = [{**column, "type": wanted.get(column["name"], column["type"])} for column in columns]
    made: dict[str, Any] = {target: written(name) for target, name in pairs.items()}
    made |= _made_keys(spec, pairs, [column.name for column in guess.columns])
    return columns, made, f"its columns were found by name and type: {_told(pairs)}"


def _alike(spec: SourceSpec, guess: FileGuess) -> Iterator[tuple[FormatSpec, dict[str, str]]]:
    """Find the formats that have as many columns, each of which can be one of the file's, in their order."""
    for layout in spec.formats.values():
        pairs = _pair(layout.file_columns, guess.columns)
        if layout.file_columns and len(pairs) == len(layout.file_columns) == len(guess.columns):
            yield layout, pairs


def _pair(wanted: Sequence[FileColumnSpec], found: Sequence[ColumnGuess]) -> dict[str, str]:
    left = list(found)
    pairs: dict[str, str] = {}
    for column in wanted:
        fits = [each for each in left if each.family in _FITS[column.type]]
        # A number that is written without a fraction is one; but not where another column has fractions.
        fits.sort(key=lambda each: _FITS[column.type].index(each.family))  # type: ignore[arg-type]
        if named := [each for each in fits if each.name.lower() == column.name.lower()]:
            fits = named
        if fits:
            pairs[column.name] = fits[0].name
            left.remove(fits[0])
    return pairs


def _with_names(expression: str | Identity, pairs: Mapping[str, str]) -> str | dict[str, list[str]]:
    if isinstance(expression, Identity):
        return {"identity": [pairs[name] for name in expression.identity]}
    return renamed(expression, pairs)


def _pair_with_source(spec: SourceSpec, guess: FileGuess) -> dict[str, str]:
    """Return the file's column for each column of the source that has one: of its name, or the one of its kind."""
    own = {name: column for column, name in own_names(guess.columns).items()}
    pairs = {name: own[name] for name in spec.column_names if name in own}
    for target in _who_and_when(spec):
        fits = _FITS[_types(spec)[target]]
        left = [c.name for c in guess.columns if c.name not in pairs.values() and c.family in fits]
        if target not in pairs and left:
            pairs[target] = left[0]
    return pairs


def _who_and_when(spec: SourceSpec) -> tuple[str, ...]:
    return (*filter(None, [spec.people.person]), spec.event_time)


def _types(spec: SourceSpec) -> dict[str, ColumnType]:
    return {column.name: column.type for column in spec.columns}


def _made_keys(spec: SourceSpec, pairs: Mapping[str, str], names: Sequence[str]) -> dict[str, Any]:
    """Return what makes those columns of the key that the file has not: who and when, and what the line says."""
    types = _types(spec)
    who = ", ".join(f"CAST({written(pairs[each])} AS VARCHAR)" for each in _who_and_when(spec) if each in pairs)
    by_type: dict[str, Any] = {"int64": {"identity": list(names)}}
    if who:
        by_type |= dict.fromkeys(("id", "string"), f"concat_ws(' ', {who})")
    absent = [name for name in spec.key if name not in pairs]
    return {name: by_type[types[name]] for name in absent if types[name] in by_type}


def _told(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{target} is {name}" for target, name in pairs.items()) or "none"
