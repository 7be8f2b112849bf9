"""Verify the histories of versions, and hold MLflow and the artifacts against them.

What belongs here: finding what disagrees, and having MLflow repeat the ledger where it does not. What does not: what a
whole history is (`governance.chain`), and what the ledger implies (`governance.lifecycle`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from include.adapters.lake.ledger_heads import list_anchored, read_heads
from include.adapters.registry.model_files import differing
from include.errors import MlopsError, RefusedError
from include.governance import lifecycle
from include.governance.chain import SEQ, Row, find_breaks
from include.specs.deployed import load_specs
from include.specs.models import load_model
from include.steps.move_model import project
from include.training.artifacts import checksums

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_registry import RegisteredVersion

log = logging.getLogger(__name__)

Histories: TypeAlias = Mapping[str, Sequence[Row]]

_LEDGER, _REGISTRATION = "promotion_ledger", "registration"
# A move stands in the ledger first and in MLflow a moment later: what disagrees for that moment only is in order.
_MOMENT_S = 2.0


@dataclass(frozen=True)
class Finding:
    """What disagrees with a history, and where."""

    where: str
    what: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Verification:
    """What a look at the histories found.

    Attributes
    ----------
    models : tuple of str
        Whose histories were looked at.
    rows : int
        Rows of them.
    findings : tuple of Finding
        What disagrees.
    notes : tuple of Finding
        What can't be told, or what nothing guards: not a sign of anything that was done.
    """

    models: tuple[str, ...]
    rows: int
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def verify_registry(deployment: Deployment, model_id: str | None = None) -> Verification:
    """Look for what disagrees with the histories of a model's versions, or of all models.

    MLflow's aliases and stages that disagree are made to say what the ledger says, where the ledger itself is whole.

    Parameters
    ----------
    deployment : Deployment
        Its state and its artifacts are read; MLflow's aliases, and heads that were not kept yet, are written.
    model_id : str, optional
        Default: every model that has a spec or a row.

    Raises
    ------
    SpecError
        If there is no such model.
    """
    names = {each: spec.registered_name for each, spec in load_specs().models.items()}
    chosen = _choose(deployment, names, model_id)
    looks = [_look_at_guards(deployment), *(_look_at(deployment, each, names.get(each)) for each in chosen)]
    found = Verification(
        tuple(chosen),
        sum(look.rows for look in looks),
        tuple(chain.from_iterable(look.findings for look in looks)),
        tuple(chain.from_iterable(look.notes for look in looks)),
    )
    log.info(
        "verify models=%d rows=%d findings=%d notes=%d",
        len(chosen), found.rows, len(found.findings), len(found.notes),
    )  # fmt: skip
    return found


def require_verified(deployment: Deployment) -> dict[str, int]:
    """Verify every model and return how much was looked at, and how much of it nothing guards.

    Raises
    ------
    RefusedError
        If something disagrees, with a line for each.
    """
    found = verify_registry(deployment)
    for note in found.notes:
        log.warning("%s", note)
    if found.findings:
        raise RefusedError("\n".join(map(str, found.findings)))
    return {"models": len(found.models), "rows": found.rows, "notes": len(found.notes)}


def _choose(deployment: Deployment, names: Mapping[str, str], model_id: str | None) -> list[str]:
    known = set(names) | deployment.state.recorded_models() | list_anchored(deployment.lake)
    if model_id is None:
        return sorted(known)
    if model_id not in known:
        load_model(model_id)
    return [model_id]


def _look_at_guards(deployment: Deployment) -> Verification:
    findings = (Finding(table, "its guard is gone or off; deploy again") for table in deployment.state.disarmed())
    notes = (Finding("not protected", f"{gap}; see MLOPS_STATE_OWNER_URL") for gap in deployment.state.unguarded())
    return Verification((), 0, tuple(findings), tuple(notes))


def _look_at(deployment: Deployment, model_id: str, name: str | None) -> Verification:
    """Look at one model; of one without a spec nobody knows its name in MLflow."""
    histories = deployment.state.histories(model_id)
    rows, findings = sum(map(len, histories.values())), list(_find_breaks(deployment, model_id, histories))
    if name is None:
        return Verification((model_id,), rows, tuple(findings), ())
    is_whole = not findings
    versions = {found.version: found for found in deployment.model_registry.versions(name)}
    findings += _verify_versions(deployment, model_id, histories, versions)
    if is_whole:
        findings += _put_right(deployment, model_id, name)
    return Verification((model_id,), rows, tuple(findings), tuple(_find_untold(model_id, histories, versions)))


def _find_breaks(deployment: Deployment, model_id: str, histories: Histories) -> Iterator[Finding]:
    for history, rows in histories.items():
        for found in find_breaks(rows, read_heads(deployment.lake, history, model_id)):
            yield Finding(f"{history}, {model_id} row {found.seq}", found.what)


def _verify_versions(
    deployment: Deployment, model_id: str, histories: Histories, versions: Mapping[int, RegisteredVersion]
) -> Iterator[Finding]:
    """Yield what of the versions is not in MLflow as it was registered."""
    registered = {row["version"]: row for row in histories[_REGISTRATION]}
    newest = {row["version"]: row for row in histories[_LEDGER]}
    for version in sorted({*registered, *newest}):
        history = _REGISTRATION if version in registered else _LEDGER
        row = registered.get(version) or newest[version]
        if (what := _differs(deployment, row, versions.get(version))) is not None:
            yield Finding(f"{history}, {model_id} row {row[SEQ]} (version {version})", what)


def _differs(deployment: Deployment, row: Row, found: RegisteredVersion | None) -> str | None:
    if found is None:
        return "this version is not in MLflow any more; bring it back from a backup"
    if "files" not in row:
        return None
    if found.run_id != row["run_id"]:
        return f"MLflow says that it came from run {found.run_id}, it was registered from {row['run_id']}"
    try:
        wrong = differing(checksums(deployment.model_registry.stored(found.name, found.version)), row["files"])
    except MlopsError as err:
        return str(err)
    return f"{', '.join(wrong)}: the artifact store holds something else than was registered" if wrong else None


def _find_untold(model_id: str, histories: Histories, versions: Mapping[int, RegisteredVersion]) -> Iterator[Finding]:
    registered, moved = ({row["version"] for row in histories[name]} for name in (_REGISTRATION, _LEDGER))
    for version in sorted(moved - registered):
        yield Finding(
            f"{model_id} version {version}",
            "was registered before the ledger kept what with: its files are held against the checksum beside them only",
        )
    for version in sorted(set(versions) - moved - registered):
        yield Finding(f"{model_id} version {version}", "is in MLflow and in no history: it is not loaded")


def _put_right(deployment: Deployment, model_id: str, name: str) -> list[Finding]:
    """Have MLflow say what the ledger says, and return where it did not."""
    disagreeing = _find_disagreeing(deployment, model_id, name)
    if disagreeing:
        time.sleep(_MOMENT_S)
        disagreeing &= _find_disagreeing(deployment, model_id, name)
    there = {found.version for found in deployment.model_registry.versions(name)}
    can_follow = lifecycle.stages(deployment.state.ledger(model_id)).keys() <= there
    if can_follow:
        project(deployment, model_id)
    end = "put right" if can_follow else "not put right: a version is not in MLflow"
    return [Finding(each.where, f"{each.what}; {end}") for each in sorted(disagreeing, key=str)]


def _find_disagreeing(deployment: Deployment, model_id: str, name: str) -> set[Finding]:
    moves = deployment.state.ledger(model_id)
    rows = {move.version: f"promotion_ledger, {model_id} row {move.seq} (version {move.version})" for move in moves}
    versions, stages = deployment.model_registry.versions(name), lifecycle.stages(moves)
    tags = {found.version: found.lifecycle for found in versions if found.version in stages}
    aliases = deployment.model_registry.aliases(name)
    implied = lifecycle.aliases(moves)
    return {
        *(
            Finding(rows[version], f"MLflow's tag says {told or 'nothing'}, the ledger {stages[version]}")
            for version, told in tags.items()
            if told != stages[version]
        ),
        *(
            Finding(
                f"promotion_ledger, {model_id}" if meant is None else rows[meant],
                f"MLflow's alias {alias} points at {_told(aliases.get(alias))}, the ledger says {_told(meant)}",
            )
            for alias, meant in implied.items()
            if aliases.get(alias) != meant
        ),
    }


def _told(version: int | None) -> str:
    return "nothing" if version is None else f"version {version}"
