"""Tables of what may stand in a spec, read off its schema.

What belongs here: Markdown of keys, rules and kinds of label. What does not: the schemas, and where the tables go
(``docs.write``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from include.specs.groups import FeatureGroupSpec
from include.specs.labels import LABELS_ROOT, label_kinds, load_label_kind
from include.specs.models import TASKS, ModelSpec
from include.specs.services import FeatureServiceSpec
from include.specs.source_rules import Rule
from include.specs.sources import SourceSpec
from include.specs.spec_keys import KeyLine, spec_keys

_OF_EVERY_RULE = ("kind", "name", "reason")


def model_keys(_: Path) -> str:
    """Return the keys of a model, section by section; one that only models of one task have says so."""
    of_all = {line.key: line for line in spec_keys(ModelSpec)}
    own = [
        replace(line, meaning=f"of task {task}: {line.meaning}")
        for task, schema in TASKS.items()
        for line in spec_keys(schema)
        if line.key not in of_all
    ]
    lines = [*of_all.values(), *own]
    sections = list(dict.fromkeys(line.key.partition(".")[0] for line in lines))
    return _table(sorted(lines, key=lambda line: sections.index(line.key.partition(".")[0])))


def group_keys(_: Path) -> str:
    """Return the keys of a feature group."""
    return _table(spec_keys(FeatureGroupSpec))


def service_keys(_: Path) -> str:
    """Return the keys of a feature service."""
    return _table(spec_keys(FeatureServiceSpec))


def source_keys(_: Path) -> str:
    """Return the keys of a source."""
    return _table(spec_keys(SourceSpec))


def rule_kinds(_: Path) -> str:
    """Return the kinds of rule, each with its keys beside those of every rule."""
    lines = ["| kind | keys | a row breaks it |", "|---|---|---|"]
    for rule in get_args(Rule):
        keys = dict.fromkeys(line.key.partition(".")[0] for line in spec_keys(rule) if line.key not in _OF_EVERY_RULE)
        [kind] = get_args(rule.model_fields["kind"].annotation)
        lines.append(f"| `{kind}` | {', '.join(f'`{key}`' for key in keys)} | {_first_paragraph(rule)} |")
    return "\n".join([*lines, ""])


def label_parameters(_: Path) -> str:
    """Return the kinds of label that ship, each with its parameters."""
    lines = ["| kind | key | type | allowed | meaning |", "|---|---|---|---|---|"]
    for name in label_kinds(None):
        kind = load_label_kind(name, None)
        place = f"[`{name}`](../{kind.path.relative_to(LABELS_ROOT.parents[2])})"
        lines += [
            f"| {place} | `label.{line.key}` | {line.type} | {_code(line.allowed)} | {_cell(line.meaning)} |"
            for line in spec_keys(kind.spec)
            if line.key != "kind"
        ]
    return "\n".join([*lines, ""])


def _table(found: Iterable[KeyLine]) -> str:
    lines = ["| key | type | allowed | default | meaning |", "|---|---|---|---|---|"]
    lines += [
        f"| `{line.key}` | {line.type} | {_code(line.allowed)} | {_code(line.default)} | {_cell(line.meaning)} |"
        for line in found
    ]
    return "\n".join([*lines, ""])


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _first_paragraph(schema: type[BaseModel]) -> str:
    return _cell(" ".join((schema.__doc__ or "").split("\n\n")[0].split()))
