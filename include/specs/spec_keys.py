"""The keys of a spec, as its schema has them: for documents, and for whoever writes a new one.

What belongs here: reading a schema into lines. What does not: the schemas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}


@dataclass(frozen=True)
class KeyLine:
    """One key of a spec.

    Attributes
    ----------
    key : str
        Dotted; ``[]`` for the members of a list, ``NAME`` for those of a mapping.
    type : str
        As JSON Schema names it.
    allowed : str
        Bounds, words or pattern; empty where anything of the type is.
    default : str
        As in YAML; empty where the key must be there.
    meaning : str
        With its unit; empty where the schema gives none.
    """

    key: str
    type: str
    allowed: str
    default: str
    meaning: str


def spec_keys(schema: type[BaseModel]) -> list[KeyLine]:
    """Return a spec's keys in its order; a section has none of its own beside those in it.

    Examples
    --------
    >>> from include.specs.model_sections import BinaryGatesSpec
    >>> [line.key for line in spec_keys(BinaryGatesSpec)]
    ['latency_p99_ms_max', 'champion_margin', 'scheduled_gain', 'auc_min']
    """
    whole = schema.model_json_schema()
    return list(_keys(whole, whole.get("$defs", {}), ""))


def _keys(part: Mapping[str, Any], sections: Mapping[str, Any], prefix: str) -> Iterator[KeyLine]:
    required = set(part.get("required", ()))
    for name, given in part["properties"].items():
        inner, suffix = _section(given, sections)
        if inner is not None and "properties" in inner:
            yield from _keys(inner, sections, f"{prefix}{name}{suffix}.")
        else:
            default = "" if name in required else _default(given)
            yield KeyLine(f"{prefix}{name}", _type(given), _allowed(given), default, given.get("description", ""))


def _section(given: Mapping[str, Any], sections: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """Return the section that a key holds, or a list of it."""
    for choice in (given, *given.get("anyOf", ())):
        if "$ref" in choice:
            return sections[choice["$ref"].rpartition("/")[2]], ""
        if "$ref" in (items := choice.get("items", {})):
            return sections[items["$ref"].rpartition("/")[2]], "[]"
        for named in (choice.get("additionalProperties"), *choice.get("patternProperties", {}).values()):
            if isinstance(named, dict) and "$ref" in named:
                return sections[named["$ref"].rpartition("/")[2]], ".NAME"
    return None, ""


def _type(given: Mapping[str, Any]) -> str:
    if "anyOf" in given:
        return " or ".join(_type(choice) for choice in given["anyOf"])
    if given.get("type") == "array":
        return f"list of {_type(given.get('items', {}))}"
    return {"object": "mapping"}.get(kind := str(given.get("type", "mapping")), kind)


def _allowed(given: Mapping[str, Any]) -> str:
    for choice in given.get("anyOf", ()):
        if found := _allowed(choice):
            return found
    if words := given.get("enum"):
        return ", ".join(map(str, words))
    bounds = [text.format(_written(given[name])) for name, text in _BOUNDS.items() if name in given]
    length = [f"{given.get('minLength', 0)} to {given['maxLength']} characters"] if "maxLength" in given else []
    return ", ".join([*bounds, *filter(None, [given.get("pattern")]), *length])


def _default(given: Mapping[str, Any]) -> str:
    # What a factory makes is empty, and is not in the schema.
    return _written(given["default"]) if "default" in given else "{}"


def _written(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
