"""Label kinds: one SQL statement each, which says itself what parameters it takes.

What belongs here: finding a kind's statement, and its parameters as fields of a spec. What does not: running it, and
what it means, which its own comment says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, create_model

from include.errors import SpecError, nearest
from include.settings import PROJECT_ROOT
from include.specs.conditions import moments_of
from include.specs.yaml_files import DAYS_MAX, Days, Frozen, Identifier, kept

LABELS_ROOT = PROJECT_ROOT / "include" / "question" / "labels"

# What a statement labels, beside the sources that it reads.
EXAMPLES = "examples"

# What whoever runs a label's statement gives to each.
GIVEN = ("known_until",)

_HORIZON = "horizon_days"

_DECLARED = re.compile(
    r"^-- \$(?P<name>[a-z]\w*) +(?P<type>\w+)(?: +(?P<low>-?[\d.e+-]*\d)\.\.(?P<high>-?[\d.e+-]*\d))?:"
    r" *(?P<meaning>.*)$",
    re.MULTILINE,
)
_COMMENT = re.compile(r"--[^\n]*")
_USED = re.compile(r"\$([a-z]\w*)")
_TYPES: dict[str, type[int | float | str]] = {"int": int, "float": float, "text": str}


class LabelSpec(Frozen):
    """What is predicted, and after how many days it is known. Each kind has fields of its own beside these."""

    kind: Annotated[Identifier, Field(description="the statement that labels: a file NAME.sql")]
    horizon_days: Annotated[Days, Field(description="days; after so many the label is known")]

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what the kind's statement is given."""
        return self.model_dump(exclude={"kind"})


@dataclass(frozen=True)
class LabelKind:
    """A kind of label.

    Attributes
    ----------
    name : str
    path : Path
        Its statement.
    sources : tuple of str
        What it reads beside the examples, by name.
    spec : type of LabelSpec
        The ``label:`` of a model that has it.
    """

    name: str
    path: Path
    sources: tuple[str, ...]
    spec: type[LabelSpec]

    @property
    def sql(self) -> str:
        """The statement, DuckDB dialect."""
        return self.path.read_text(encoding="utf-8")


def label_kinds(overlay_root: Path | None) -> Mapping[str, Path]:
    """Return the statement of every kind, by name; an overlay's folder ``labels`` adds to the shipped ones."""
    return {**_statements(LABELS_ROOT), **_added(overlay_root)}


def load_label_kind(name: str, overlay_root: Path | None) -> LabelKind:
    """Return a kind of label.

    Raises
    ------
    SpecError
        If there is none of that name, or one that ships and one of the overlay; if its statement doesn't declare what
        it uses.
    """
    shipped, added = _statements(LABELS_ROOT), _added(overlay_root)
    known = {**shipped, **added}
    if name not in known:
        raise SpecError(
            f"there is no kind of label {name!r}; known: {', '.join(known)}{nearest(name, known)}; a new one is a "
            f"statement, a file NAME.sql in {LABELS_ROOT.relative_to(PROJECT_ROOT)}"
        )
    if name in shipped and name in added:
        raise SpecError(
            f"{name}.sql ships, and is in {added[name].parent} too; an overlay adds kinds of label and replaces none: "
            "give that one another name, and write it to label.kind"
        )
    return _read_kind(known[name])


def _added(overlay_root: Path | None) -> dict[str, Path]:
    return _statements(overlay_root / "labels") if overlay_root is not None else {}


def _statements(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.sql"))}


@kept
def _read_kind(path: Path) -> LabelKind:
    try:
        sql = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise SpecError(f"{path.name} can't be read: {err.strerror if isinstance(err, OSError) else err}") from err
    return _make_kind(path, sql)


@lru_cache(maxsize=64)
def _make_kind(path: Path, sql: str) -> LabelKind:
    declared = {found["name"]: found for found in _DECLARED.finditer(sql)}
    used = set(_USED.findall(_COMMENT.sub("", sql)))
    if strays := sorted((used - declared.keys() - set(GIVEN)) | (declared.keys() - used)):
        raise SpecError(
            f"{path.name}: ${strays[0]} is only declared or only used; each parameter has a line of the form "
            f"'-- $name int 1..3660: what it means', but for those that are given ({', '.join(GIVEN)})"
        )
    if _HORIZON not in declared:
        raise SpecError(f"{path.name}: ${_HORIZON} is not declared; after so many days the label must be known")
    fields = {parameter: (_type_of(found, path), ...) for parameter, found in declared.items()}
    if ignored := [name for name in GIVEN if name not in used]:
        raise SpecError(
            f"{path.name}: ${ignored[0]} is not looked at, so that what was received later would count; leave such "
            "rows out, e.g. received_at <= $known_until"
        )
    made: Any = create_model(f"{path.stem}_label", __base__=LabelSpec, **fields)  # type: ignore[call-overload]
    return LabelKind(path.stem, path, _sources_of(sql, path), made)


def _sources_of(sql: str, path: Path) -> tuple[str, ...]:
    """Return the tables that a statement reads, but for `EXAMPLES` and those that it makes itself."""
    from sqlglot import exp, parse
    from sqlglot.errors import SqlglotError

    try:
        statements = [each for each in parse(sql, read="duckdb") if not isinstance(each, exp.Semicolon | None)]
    except (SqlglotError, RecursionError) as err:
        raise SpecError(f"{path.name} is no statement: {' '.join(str(err).split())[:300]}") from err
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SpecError(f"{path.name} is not one SELECT; write what it needs before that in a WITH")
    if moments := moments_of(statements[0]):
        raise SpecError(
            f"{path.name} says something else each time it is asked ({moments[0]}); by when, says $known_until"
        )
    made = {each.alias for each in statements[0].find_all(exp.CTE)}
    # A function that makes rows, such as generate_series, is no table.
    named = {each.name for each in statements[0].find_all(exp.Table) if isinstance(each.this, exp.Identifier)}
    return tuple(sorted(named - made - {EXAMPLES}))


def _type_of(declared: re.Match[str], path: Path) -> Any:
    name, kind = declared["name"], _TYPES.get(declared["type"])
    if name == "kind" or hasattr(LabelSpec, name):
        raise SpecError(f"{path.name}: ${name} is a word of every label; give the parameter another name")
    if kind is None:
        raise SpecError(
            f"{path.name}: ${name} is of type {declared['type']!r}; allowed: {', '.join(_TYPES)}"
            f"{nearest(declared['type'], _TYPES)}"
        )
    if name == _HORIZON and kind is not int:
        raise SpecError(f"{path.name}: ${name} is of type {declared['type']!r}; it is a number of days, int")
    low, high = _bounds_of(declared, kind, path)
    return Annotated[kind, Field(ge=low, le=high, description=declared["meaning"])]


def _bounds_of(
    declared: re.Match[str], kind: type[int | float | str], path: Path
) -> tuple[float, float] | tuple[None, None]:
    """Return the least and the greatest value of a parameter; a horizon has those of any number of days."""
    least, most = (1, DAYS_MAX) if declared["name"] == _HORIZON else (-math.inf, math.inf)
    if declared["low"] is None:
        return (least, most) if declared["name"] == _HORIZON else (None, None)
    said = f"{path.name}: the bounds of ${declared['name']}, {declared['low']}..{declared['high']}"
    if issubclass(kind, str):
        raise SpecError(f"{path.name}: ${declared['name']} is a text, which has no bounds")
    try:
        low, high = kind(declared["low"]), kind(declared["high"])
    except ValueError as err:
        raise SpecError(f"{said}: {err}") from err
    if not least <= low <= high <= most:
        raise SpecError(f"{said}, are no bounds; write a lower and an upper one, within {least:g}..{most:g}")
    return low, high
