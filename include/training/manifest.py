"""The manifest of a training set: what it was made from, so that it can be made again.

What belongs here: its fields, the set's id, and what of a spec makes a set. What does not: finding out the values, and
where it is kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from include.errors import MlopsError, SpecError, problems
from include.specs.models import ModelSpec, make_model

UNKNOWN = "unknown"
# What a field that is not there counts as, by its type; of the others it is None.
_EMPTY: Mapping[str, Any] = {
    "str": "",
    "int": 0,
    "tuple[str, ...]": (),
    "Mapping[str, int]": {},
    "Mapping[str, str]": {},
}
# Of a spec: what it is called, and what is done with a model once there is one. What is not named here makes the set,
# the model or what the model is judged by: a key that is forgotten costs a training, and mixes no two versions up.
_MAKES_NO_MODEL: Any = {
    "registered_name": True,
    "description": True,
    "owner": True,
    "training": {"min_rows"},
    "gates": True,
    "approval": True,
    "scoring": True,
    "monitoring": True,
    "decision": True,
    "serving": True,
}


@dataclass(frozen=True)
class Provenance:
    """Which code and which libraries ran.

    Attributes
    ----------
    code_commit : str
        Git commit; ``"unknown"`` where there is neither a checkout nor a setting.
    lock_sha256 : str
        sha256 of ``uv.lock``; ``"unknown"`` where there is none.
    code_changed : bool or None
        Whether the checkout differed from the commit; None where there is no checkout.
    image_digest : str or None
        Digest of the container image, where there is one.
    """

    code_commit: str
    lock_sha256: str
    code_changed: bool | None
    image_digest: str | None


@dataclass(frozen=True)
class TrainingSetManifest:
    """What a training set was made from.

    Attributes
    ----------
    model_id, set_id, as_of : str
    feature_service : str
        Versioned name.
    feature_names : tuple of str
        In the model's order.
    entity_keys : tuple of str
    horizon_days : int
        Of the label.
    first_snapshot, last_snapshot : str
        Days at whose end the first and the last example stand.
    rows, positives : int
        Examples, and those with label 1.
    rows_without_label : int
        Rows of the population whose label is not known; left out.
    unpublished_snapshots : tuple of str
        Days of snapshots that had no published features.
    rows_sha256 : str
        `include.adapters.lake.delta_lake.digest` of the examples.
    sources : dict of str to int
        Lake tables and the Delta version that was read.
    spec_sha256 : str
        Of what of the model's spec, with its overlay, makes the model: of `spec_text`.
    provenance : Provenance
    definitions : mapping of str to str
        `include.training.definitions.definitions_of` the spec; empty in a manifest from before they were kept.
    libraries : mapping of str to str
        `include.adapters.provenance.read_libraries`; empty in a manifest from before they were kept.
    """

    model_id: str
    set_id: str
    as_of: str
    feature_service: str
    feature_names: tuple[str, ...]
    entity_keys: tuple[str, ...]
    horizon_days: int
    first_snapshot: str
    last_snapshot: str
    rows: int
    positives: int
    rows_without_label: int
    unpublished_snapshots: tuple[str, ...]
    rows_sha256: str
    sources: Mapping[str, int]
    spec_sha256: str
    provenance: Provenance
    definitions: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    def version_of(self, table: str) -> int:
        """Return the version of a lake table that was read.

        Raises
        ------
        SpecError
            If none was: what is read today is not what was read then.
        """
        if table not in self.sources:
            raise SpecError(
                f"{table} is read today, and training set {self.set_id} was read from {', '.join(self.sources)}: the "
                "label, the feature service or a group was changed"
            )
        return self.sources[table]

    def to_json(self) -> str:
        """Return the manifest as JSON, with sorted keys."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainingSetManifest:
        """Read a manifest that `to_json` wrote.

        Raises
        ------
        MlopsError
            If `text` is something else.
        """
        try:
            return _MANIFEST.validate_json(text, strict=True)
        except ValidationError as err:
            raise MlopsError(f"this is not a training set's manifest ({problems(err)}); build the set again") from err

    @classmethod
    def from_incomplete_json(cls, text: str) -> TrainingSetManifest:
        """Read the manifest of a version, whatever it lacks: a field that is absent or null is empty.

        Raises
        ------
        MlopsError
            If `text` is no manifest, or a field is of another type.
        """
        try:
            stated = json.loads(text)
            provenance = _with_empty_fields(Provenance, stated.get("provenance") or {})
            whole = _with_empty_fields(cls, {**stated, "provenance": provenance})
            return _MANIFEST.validate_json(json.dumps(whole), strict=True)
        except (ValueError, AttributeError) as err:
            told = problems(err) if isinstance(err, ValidationError) else repr(err)
            raise MlopsError(f"this is not a version's manifest ({told}); train the version again") from err


_MANIFEST = TypeAdapter(TrainingSetManifest)


def spec_text(spec: ModelSpec) -> str:
    """Return the values of a spec that make a training set, and what is trained on it, as JSON."""
    return json.dumps(spec.model_dump(mode="json", exclude=_MAKES_NO_MODEL), sort_keys=True)


def spec_sha256(spec: ModelSpec) -> str:
    """Return the sha256 of `spec_text`."""
    return hashlib.sha256(spec_text(spec).encode()).hexdigest()


def spec_of_text(text: str, *, present: ModelSpec) -> tuple[ModelSpec, tuple[str, ...]]:
    """Return the spec that `spec_text` was taken of; what makes no model is the present one's.

    Returns
    -------
    ModelSpec
    tuple of str
        Keys that the text lacks and that today's schema asks for, as they came later: their values are the present
        one's. A key that need not be there has its default.

    Raises
    ------
    SpecError
        If today's schema does not allow a value.
    """
    kept = json.loads(text)
    rest = present.model_dump(mode="json", include=_MAKES_NO_MODEL)
    kept["training"] |= rest.pop("training")
    values = {**rest, **kept}
    came_later = tuple(_fill(values, present))
    return make_model(values, Path(f"{present.model_id}, as it was")), came_later


def _fill(values: dict[str, Any], present: BaseModel, within: str = "") -> Iterator[str]:
    """Give values the keys that they lack and need, and yield those; what is of another kind is left as it is."""
    for name, value in present.model_dump(mode="json").items():
        part = getattr(present, name)
        if name not in values and type(present).model_fields[name].is_required():
            values[name] = value
            yield within + name
        elif isinstance(part, BaseModel) and values[name].get("kind") == value.get("kind"):
            yield from _fill(values[name], part, f"{within}{name}.")


def set_id(
    *, as_of: str, rows_sha256: str, spec_hash: str, feature_names: tuple[str, ...], provenance: Provenance
) -> str:
    """Return the id of a training set: its day, and a hash of all that a model trained on it depends on.

    The versions of the sources are left out: a lake that grew by later days gives the same rows, and
    so the same set.

    Examples
    --------
    >>> here = Provenance("c0ffee", "10c4", code_changed=False, image_digest=None)
    >>> made = set_id(as_of="2011-11-25", rows_sha256="aa", spec_hash="bb", feature_names=("x",), provenance=here)
    >>> made[:11], len(made)
    ('2011-11-25-', 23)
    """
    determines = json.dumps([as_of, rows_sha256, spec_hash, feature_names, asdict(provenance)], sort_keys=True)
    return f"{as_of}-{hashlib.sha256(determines.encode()).hexdigest()[:12]}"


def _with_empty_fields(kind: type[TrainingSetManifest | Provenance], stated: Mapping[str, Any]) -> dict[str, Any]:
    return {
        field.name: _EMPTY.get(str(field.type)) if (said := stated.get(field.name)) is None else said
        for field in fields(kind)
    }
