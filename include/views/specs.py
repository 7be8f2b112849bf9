"""What the command line shows of the specs: which there are, what is wrong with them, where a value comes from.

What belongs here: plain values and their text. What does not: what may be in a spec.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from include.specs.deployed import find_model_files, load_specs
from include.specs.models import load_model
from include.specs.standing import SpecKind
from include.specs.yaml_files import read_yaml


@dataclass(frozen=True)
class ModelLine:
    """One model, in short."""

    model_id: str
    registered_name: str
    entity: str
    owner: str
    service: str


@dataclass(frozen=True)
class SpecVerdict:
    """One file, and what is wrong with it."""

    kind: SpecKind
    name: str
    violations: tuple[str, ...]


@dataclass(frozen=True)
class ModelView:
    """One model's spec as it holds in this deployment.

    Attributes
    ----------
    values : mapping of str to object
        As in YAML.
    files : tuple of Path
        What it is made of, the overlay last.
    shipped : mapping of str to object
        For each value that the overlay gives, by its dotted key, the one that ships.
    """

    values: Mapping[str, Any]
    files: tuple[Path, ...]
    shipped: Mapping[str, Any]


def list_models() -> list[ModelLine]:
    """Return the models that stand, by id."""
    return [
        ModelLine(spec.model_id, spec.registered_name, spec.entity.name, spec.owner, spec.features.service)
        for spec in load_specs().models.values()
    ]


def check_specs() -> list[SpecVerdict]:
    """Return every file of this deployment with what is wrong with it, by kind and name."""
    specs = load_specs()
    return [
        SpecVerdict(kind, name, tuple(found.message for found in specs.violations_of(kind, name)))
        for kind in get_args(SpecKind)
        for name in specs.names(kind)
    ]


def view_model(model_id: str) -> ModelView:
    """Return a model's spec with the deployment's overlay laid over it, and where each of its values comes from.

    Raises
    ------
    SpecError
        If there is no such model, or a value isn't allowed.
    """
    values = load_model(model_id).model_dump(mode="json")
    files = find_model_files(model_id)
    shipped: dict[str, Any] = {}
    if len(files) > 1:
        below, above = (dict(_leaves(read_yaml(path))) for path in files)
        shipped = {key: below[key] for key in above}
    return ModelView(values, tuple(files), shipped)


def write_model(view: ModelView) -> str:
    """Return a model's spec as YAML, with what it was before the overlay beside each value that the overlay gives."""
    heading = [f"# {path}" for path in view.files]
    return "\n".join([*heading, *_lines(view.values, view.shipped, "")])


def _lines(values: Mapping[str, Any], shipped: Mapping[str, Any], prefix: str) -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for key, value in values.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(value, shipped, f"{path}.")
        else:
            told = f"  # the overlay's; {_scalar(shipped[path])} ships" if path in shipped else ""
            yield f"{indent}{key}: {_scalar(value)}{told}"


def _scalar(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    text = text.removesuffix("...\n").strip()
    # JSON is YAML too, and writes a line break out.
    return json.dumps(value) if "\n" in text else text


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
