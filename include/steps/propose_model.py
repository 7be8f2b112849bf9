"""Propose a model that begins as another one: its YAML, and a service and a label where it needs its own.

What belongs here: which values are taken over, and the stubs. What does not: what may be in a spec, and whether the
model can be used (``check_model``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.errors import UsageError
from include.settings import Settings
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.labels import LABELS_ROOT, label_kinds, load_label_kind
from include.specs.models import load_model, model_folders
from include.specs.services import service_folders
from include.specs.source_rules import RECEIVED_AT
from include.specs.sources import load_source
from include.specs.spec_keys import spec_keys
from include.specs.yaml_files import yaml_text
from include.steps.write_source import require_absent, write_new

_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")


@dataclass(frozen=True)
class ModelProposal:
    """A model that is not there yet.

    Attributes
    ----------
    model_id, group : str
    files : mapping of Path to str
        What to write, and where.
    to_read : tuple of str
        What a person should look at first, in sentences.
    """

    model_id: str
    group: str
    files: Mapping[Path, str]
    to_read: tuple[str, ...]


def propose_model(name: str, *, like: str, group: str | None = None, label: str | None = None) -> ModelProposal:
    """Propose a model with the values of another one, as they hold here.

    Parameters
    ----------
    name : str
        Its id.
    like : str
        The model whose values it begins with.
    group : str, optional
        The feature group whose rows it is asked about; by default that of `like`. With another one it gets a feature
        service of all the group's numbers, and everybody as its population.
    label : str, optional
        The kind of its label; by default that of `like`. One that is not there gets a statement to be changed.

    Raises
    ------
    UsageError
        If the name can't be that of a model, or a file is there already; if no source has the entity's keys, so that
        there is no statement to begin with.
    SpecError
        If there is no such model or group.
    """
    _require_names(name, label)
    spec = load_model(like)
    values = spec.model_dump(mode="json")
    values |= {"model_id": name, "registered_name": name.replace("_", "-")}
    files: dict[Path, str] = {}
    to_read = [f"registered_name, description and owner were taken from {like}: correct them"]
    asked = load_feature_group(group or spec.features.group)
    if asked.group != spec.features.group:
        service = f"{name}_v1"
        values |= {"entity": asked.entity.model_dump(mode="json"), "population": "true"}
        values["features"] = {"service": service, "group": asked.group}
        values["monitoring"]["slices"] = []
        files[service_folders()[-1] / f"{service}.yaml"] = _service_text(service, asked, values["owner"])
        to_read.append(f"population is everybody in {asked.group}, and {service} has all its numbers: choose")
    if label is not None and label != spec.label.kind:
        values["label"] = _label_values(label, spec.label.horizon_days)
        if label not in label_kinds(Settings.from_env().specs_overlay):
            files[_label_folder() / f"{label}.sql"] = _label_text(label, asked)
            to_read.append(f"{label}.sql asks whether anything happens in the horizon: change it to what you ask")
    meanings = {line.key: line.meaning for line in spec_keys(type(spec))}
    head = f"# Begun as {like}: read it, and correct it.\n"
    files[model_folders()[-1] / f"{name}.yaml"] = head + yaml_text(values, meanings)
    for path in files:
        require_absent(path)
    return ModelProposal(name, asked.group, files, tuple(to_read))


def _require_names(name: str, label: str | None) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"NAME={name!r} is no id of a model; write small letters, digits and _, 50 at most, e.g. churn60"
        )
    if label is not None and not _NAME.fullmatch(label):
        raise UsageError(
            f"--label {label!r} is no kind of label; write small letters, digits and _, 50 at most, e.g. bought"
        )


def write_model(proposal: ModelProposal) -> tuple[Path, ...]:
    """Write what a model consists of, all or nothing; return what was written.

    Raises
    ------
    UsageError
        If a file is there already.
    """
    written: list[Path] = []
    try:
        for path, text in proposal.files.items():
            written.append(write_new(path, text))
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return tuple(written)


def _label_folder() -> Path:
    overlay = Settings.from_env().specs_overlay
    return LABELS_ROOT if overlay is None else overlay / "labels"


def _label_values(kind: str, horizon_days: int) -> dict[str, Any]:
    overlay = Settings.from_env().specs_overlay
    values: dict[str, Any] = {"kind": kind, "horizon_days": horizon_days}
    if kind in label_kinds(overlay):
        fields = load_label_kind(kind, overlay).spec.model_fields
        # What a parameter is to be nobody can guess: whoever reads the file is told by its bounds.
        values |= {name: None for name in fields if name not in values}
    return values


def _service_text(service: str, group: FeatureGroupSpec, owner: str) -> str:
    numbers = [column.name for column in group.columns if column.dtype != "string"]
    return yaml_text(
        {
            "service": service,
            "description": f"All numbers of {group.group}; take out what the model shall not read.",
            "owner": owner,
            "features": {group.group: numbers},
        }
    )


def _label_text(kind: str, group: FeatureGroupSpec) -> str:
    """Return a statement that asks whether an entity has a row in a source within the horizon."""
    keys = group.entity.keys
    found = (each for each in map(load_source, group.sources) if set(keys) <= set(each.column_names))
    if (source := next(found, None)) is None:
        raise UsageError(
            f"there is no statement to begin with: no source of {group.group} has the columns {', '.join(keys)}; write "
            f"{kind}.sql by hand, as those in include/question/labels are, into {_label_folder()}, then name it with "
            "--label"
        )
    name, at = source.source, source.event_time
    listed = ", ".join(f"examples.{key}" for key in keys)
    joined = "\n        AND ".join(f"{name}.{key} = examples.{key}" for key in keys)
    same = "\n    AND ".join(f"happened.{key} = examples.{key}" for key in keys)
    return f"""\
-- {kind}: 1 when {name} has a row of the entity within the horizon after the example's time.
--
-- From     {name}({", ".join(keys)}, {at}, {RECEIVED_AT}, dt), examples({", ".join(keys)}, event_timestamp)
-- Gives    {", ".join(keys)}, event_timestamp, label, known_at: one row per example, by what is known at $known_until
-- $horizon_days int 1..3660: how far the label looks ahead, in days from the example's time on, half-open
--
-- That something has happened is known once it was received, that nothing has when the horizon is over.
WITH happened AS (
    SELECT {listed}, examples.event_timestamp, MIN({name}.{RECEIVED_AT}) AS {RECEIVED_AT}
    FROM examples
    INNER JOIN {name}
        ON {joined}
        AND {name}.{at} >= examples.event_timestamp
        AND {name}.{at} < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    WHERE {name}.dt <= CAST($known_until AS DATE) AND {name}.{RECEIVED_AT} <= $known_until
    GROUP BY {listed}, examples.event_timestamp
)

SELECT
    {listed},
    examples.event_timestamp,
    CAST(happened.{keys[0]} IS NOT NULL AS TINYINT) AS label,
    COALESCE(happened.{RECEIVED_AT}, examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))) AS known_at
FROM examples
LEFT JOIN happened
    ON {same}
    AND happened.event_timestamp = examples.event_timestamp
"""
