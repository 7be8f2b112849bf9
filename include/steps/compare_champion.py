"""Compare a candidate with the version in Production, on the test rows of the candidate's training set.

What belongs here: which version that is and what asked for the candidate, the rows that both are scored on, and what
each reads of them. What does not: the difference (``training.comparison``), and the verdict, which is a gate's.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include import partitions
from include.adapters.lake.training_sets import read_manifest, read_training_set
from include.errors import MlopsError
from include.features.checks import EVENT_TIMESTAMP
from include.governance.gate import ChampionFacts
from include.governance.lifecycle import Stage, holder
from include.question.labels import snapshot_days
from include.question.matrix import feature_matrix
from include.specs.models import ModelSpec
from include.steps.load_version import load_version
from include.steps.read_inputs import read_at
from include.training.comparison import PairedDifference
from include.training.manifest import spec_of_text, spec_sha256
from include.training.split import split_snapshots
from include.training.task_registry import find_task

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel
    from include.refs import CandidateRef


def find_champion(deployment: Deployment, candidate: CandidateRef) -> ChampionFacts:
    """Return the version in Production now, and what asked for the candidate; nothing of how they compare.

    Where several decisions trained as of the candidate's day, the last one asked: the same set gives the same version.
    """
    champion = holder(deployment.state.ledger(candidate.model_id), Stage.PRODUCTION)
    if champion is None or champion == candidate.version:
        return ChampionFacts()
    claimed = [
        decision.trigger
        for decision in deployment.state.decisions(candidate.model_id)
        if decision.acted and decision.trained_by is not None and decision.partition == candidate.as_of
    ]
    return ChampionFacts(champion, claimed[-1] if claimed else None)


def compare_champion(
    deployment: Deployment, spec: ModelSpec, candidate: CandidateRef, loaded: LoadedModel
) -> ChampionFacts:
    """Return how a candidate stands to the version in Production, or why that can't be said.

    Parameters
    ----------
    spec : ModelSpec
        The model's, as it is today.
    loaded : LoadedModel
        The candidate's files.

    Raises
    ------
    MlopsError
        If the candidate's training set is there and can't be read, or is not what it was trained on.
    """
    facts = find_champion(deployment, candidate)
    if facts.version is None:
        return facts
    manifest = loaded.manifest
    if read_manifest(deployment.lake, candidate.model_id, manifest.set_id) is None:
        return replace(
            facts, why_not=f"the lake does not keep training set {manifest.set_id} of the candidate any more"
        )
    kept, examples = read_training_set(deployment.lake, candidate.model_id, manifest.set_id)
    if kept.rows_sha256 != manifest.rows_sha256:
        raise MlopsError(
            f"training set {manifest.set_id} of {candidate.model_id} has rows of sha256 {kept.rows_sha256:.12} in the "
            f"lake, and version {candidate.version} was trained on {manifest.rows_sha256:.12}: rows and manifest were "
            "changed together, and nothing is compared on them; bring the set back from a backup"
        )
    seen = 0
    try:
        champion = _load_champion(deployment, spec, facts.version)
        made_by = _spec_of(loaded, spec)
        test = _test_rows(made_by, examples)
        rows = _unseen(champion, spec, test)
        seen = test.num_rows - rows.num_rows
        found = _compare(deployment, made_by, loaded, champion, rows)
        return replace(facts, found=found, seen=seen, fitted_to=_other_question(loaded, champion))
    except MlopsError as err:
        left = f"without the {seen} rows of the time of labels that it was fitted on: " if seen else ""
        return replace(facts, seen=seen, why_not=f"{left}{err}")


def _load_champion(deployment: Deployment, spec: ModelSpec, version: int) -> LoadedModel:
    champion = load_version(deployment, spec.model_id, version)
    signature = champion.signature
    if signature.task != spec.task:
        raise MlopsError(f"it is of task: {signature.task}, the candidate of task: {spec.task}")
    if signature.entity_keys != spec.entity.keys:
        raise MlopsError(
            f"it scores {', '.join(signature.entity_keys)}, the candidate scores {', '.join(spec.entity.keys)}"
        )
    return champion


def _spec_of(loaded: LoadedModel, present: ModelSpec) -> ModelSpec:
    """Return the spec that made a version."""
    if loaded.spec is not None:
        return spec_of_text(loaded.spec, present=present)[0]
    if spec_sha256(present) == loaded.manifest.spec_sha256:
        return present
    raise MlopsError(
        f"version of {loaded.manifest.set_id} does not keep the spec that made it, and that of {present.model_id} is "
        "another one today; train a version that keeps its own"
    )


def _other_question(candidate: LoadedModel, champion: LoadedModel) -> str:
    """Say what a champion was fitted to tell, and of whom, where a candidate was fitted to tell something else."""
    if candidate.spec is None or champion.spec is None:
        return ""
    own, other = json.loads(candidate.spec), json.loads(champion.spec)
    label = dict(other["label"])
    if (other["label"], other["population"]) == (own["label"], own["population"]):
        return ""
    kind = label.pop("kind")
    return (
        f"{kind} ({', '.join(f'{name}={value}' for name, value in label.items())}) of those with {other['population']}"
    )


def _test_rows(made_by: ModelSpec, examples: pa.Table) -> pa.Table:
    return examples.filter(pa.array(split_snapshots(made_by, examples[EVENT_TIMESTAMP].to_numpy()).test))


def _unseen(champion: LoadedModel, present: ModelSpec, rows: pa.Table) -> pa.Table:
    """Return the rows that stand after the last label that the champion was fitted on had become known."""
    return rows.filter(pa.array(rows[EVENT_TIMESTAMP].to_numpy() >= _fitted_until(champion, present)))


def _fitted_until(champion: LoadedModel, present: ModelSpec) -> np.datetime64:
    """Return the start of the champion's own test, before which all the labels lie that it was fitted on.

    Where its spec is not known, the last of its snapshots, which is never earlier.
    """
    manifest = champion.manifest
    try:
        made_by = _spec_of(champion, present)
    except MlopsError:
        return np.datetime64(_instants([manifest.last_snapshot])[0])
    days = snapshot_days(manifest.as_of, made_by.label, made_by.training)
    published = _instants([day for day in days if day not in manifest.unpublished_snapshots])
    return split_snapshots(made_by, published).test_start


def _instants(days: list[str]) -> NDArray[np.datetime64]:
    return np.array([partitions.end_of(day).replace(tzinfo=None) for day in days], dtype="datetime64[us]")


def _compare(
    deployment: Deployment, made_by: ModelSpec, candidate: LoadedModel, champion: LoadedModel, rows: pa.Table
) -> PairedDifference:
    own = candidate.model.predict(feature_matrix(rows, candidate.signature.feature_names))
    other = champion.model.predict(_champion_matrix(deployment, made_by, candidate, champion, rows))
    return find_task(made_by).compare(rows, own, other)


def _champion_matrix(
    deployment: Deployment, made_by: ModelSpec, candidate: LoadedModel, champion: LoadedModel, rows: pa.Table
) -> NDArray[np.float32]:
    """Return what the champion reads of the rows: by its own feature service, as it was known then."""
    service = champion.signature.feature_service
    if service != candidate.signature.feature_service:
        asked = rows.select([*made_by.entity.keys, EVENT_TIMESTAMP])
        rows = read_at(deployment, made_by, asked, service=service, versions=candidate.manifest.sources).rows
    return feature_matrix(rows, champion.signature.feature_names)
