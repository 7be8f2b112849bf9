"""Make a version again from what is on record of it, and say whether it is the same to the bit.

What belongs here: building set and model by the record of the version, and comparing; nothing is written. What does
not: the record (``read_record``), how either is built (``gather_examples``, ``training.version``), and the words of the
verdict (``training.reproduction``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from include.adapters.lake.row_digest import digest
from include.adapters.provenance import read_libraries, read_provenance
from include.errors import AlteredError, ExpiredError, RefusedError, SpecError
from include.features.checks import EVENT_TIMESTAMP
from include.specs.models import load_model
from include.steps.gather_examples import gather_examples
from include.steps.read_record import Record, Told, read_record
from include.training.artifacts import NATIVE_MODEL, ONNX_MODEL
from include.training.definitions import definitions_of
from include.training.manifest import TrainingSetManifest
from include.training.reproduction import (
    Circumstance,
    Compared,
    Reproduction,
    compare_circumstances,
    tell_cause,
    tell_difference,
)
from include.training.row_changes import RowChanges, compare_rows
from include.training.version import fit_version

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

ROWS = "the training set"


def reproduce_version(
    deployment: Deployment, model_id: str, *, version: int, against_latest: bool = False
) -> Reproduction:
    """Build the training set of a version from the tables' versions of then, and the model from it, and compare.

    Parameters
    ----------
    deployment : Deployment
        Its lake, registry and state are read; nothing is written.
    model_id : str
    version : int
        A registered version, wherever it stands.
    against_latest : bool
        Also build the set from the tables as they are today, and say what became of its rows.

    Raises
    ------
    UsageError
        If the model has no such version.
    MlopsError
        If the registry or the lake can't be reached, or no history knows of the version.
    """
    told = Told()
    record = read_record(deployment, load_model(model_id), version, told)
    environment = _find_environment(deployment, record)
    rebuilt = _gather(deployment, record, told)
    compared = _compare(record, rebuilt, environment, told)
    then = rebuilt if rebuilt is not None else record.examples
    latest = _compare_latest(deployment, record, then, told) if against_latest else None
    log.info(
        "reproduce model=%s version=%d set=%s differences=%d notes=%d",
        model_id, version, record.manifest.set_id, len(told.differences), len(told.notes),
    )  # fmt: skip
    return Reproduction(
        model_id,
        version,
        record.manifest.set_id,
        training_set=compared[ROWS],
        native=compared[NATIVE_MODEL],
        onnx=compared[ONNX_MODEL],
        environment=environment,
        differences=tuple(told.differences),
        notes=tuple(told.notes),
        latest=latest,
    )


def require_reproduced(
    deployment: Deployment, model_id: str, *, version: int, against_latest: bool = False
) -> dict[str, str | int]:
    """Reproduce a version, and return what it was trained on and how many of its rows have changed since.

    Raises
    ------
    RefusedError
        If something is not equal, with a line for each.
    """
    found = reproduce_version(deployment, model_id, version=version, against_latest=against_latest)
    for note in found.notes:
        log.warning("%s", note)
    if found.latest is not None:
        log.info("as the tables are today: %s", found.latest)
    if not found.equal:
        raise RefusedError("\n".join(found.differences))
    told: dict[str, str | int] = {"version": version, "set_id": found.set_id}
    if (latest := found.latest) is not None:
        told |= {"added": latest.added, "gone": latest.gone, "changed": latest.changed}
    return told


def _gather(deployment: Deployment, record: Record, told: Told) -> pa.Table | None:
    if record.spec is None:
        return None
    manifest = record.manifest
    try:
        return gather_examples(deployment, record.spec, as_of=manifest.as_of, as_for=manifest).examples
    except (ExpiredError, AlteredError, SpecError) as err:
        told.differences.append(f"{ROWS} can't be built again: {err}")
        return None


def _find_environment(deployment: Deployment, record: Record) -> tuple[Circumstance, ...]:
    manifest, definitions = record.manifest, record.manifest.definitions
    if record.spec is not None:
        # One that can't be loaded is told of where the set can't be built by it.
        with suppress(SpecError):
            definitions = definitions_of(record.spec, deployment.settings.specs_overlay)
    provenance, libraries = read_provenance(deployment.settings), read_libraries()
    return compare_circumstances(manifest, provenance, definitions=definitions, libraries=libraries)


def _compare(
    record: Record, rebuilt: pa.Table | None, environment: tuple[Circumstance, ...], told: Told
) -> Mapping[str, Compared]:
    """Fit the model on the rows of then, and compare set and model with what is on record."""
    kept, recorded = record.examples, record.manifest.rows_sha256 or None
    rows = Compared(recorded, *(None if each is None else digest(each) for each in (kept, rebuilt)))
    told.differences += tell_difference(ROWS, rows, environment, which=_which_rows(record.manifest, kept, rebuilt))
    native, onnx = _fit(record, rebuilt if rows.is_reproduced else kept, environment, told)
    files = {NATIVE_MODEL: record.compared(NATIVE_MODEL, native), ONNX_MODEL: record.compared(ONNX_MODEL, onnx)}
    for name, each in files.items():
        told.differences += tell_difference(name, each, environment)
    if all(each.is_reproduced for each in (rows, *files.values())):
        told.notes += [f"{each}, which made no difference" for each in environment]
    return {ROWS: rows, **files}


def _which_rows(manifest: TrainingSetManifest, kept: pa.Table | None, rebuilt: pa.Table | None) -> str:
    if kept is None or rebuilt is None:
        return ""
    changes = compare_rows(kept, rebuilt, keys=_identity(manifest))
    return f" ({changes}; the first: {' '.join(changes.first_rows()[0].split())})" if changes.first_rows() else ""


def _fit(
    record: Record, examples: pa.Table | None, environment: tuple[Circumstance, ...], told: Told
) -> tuple[bytes | None, bytes | None]:
    if record.spec is None or examples is None:
        return None, None
    try:
        fitted = fit_version(record.spec, record.manifest.feature_names, examples)
    except RefusedError as err:
        told.differences.append(f"the model can't be fitted again: {err}; {tell_cause(environment)}")
        return None, None
    return fitted.native, fitted.onnx


def _compare_latest(deployment: Deployment, record: Record, examples: pa.Table | None, told: Told) -> RowChanges | None:
    if record.spec is None or examples is None:
        told.notes.append("what has changed since can't be told: there are no rows of then to compare with")
        return None
    try:
        latest = gather_examples(deployment, record.spec, as_of=record.manifest.as_of).examples
    except (AlteredError, SpecError) as err:
        told.notes.append(f"what has changed since can't be told: {err}")
        return None
    return compare_rows(examples, latest, keys=_identity(record.manifest))


def _identity(manifest: TrainingSetManifest) -> list[str]:
    return [EVENT_TIMESTAMP, *manifest.entity_keys]
