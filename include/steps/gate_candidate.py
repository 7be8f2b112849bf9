"""Hold a candidate against its gates.

What belongs here: finding out what gates ask about, once, and asking all of them. What does not: the verdicts
(`governance.gates`), and the move that follows them.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from include.errors import MlopsError
from include.governance.evidence import Evidence, GateReport, TrainedOn
from include.governance.gate import CandidateFacts, ChampionFacts, Gate
from include.governance.gate_registry import find_gates
from include.governance.gates.latency import MIN_LATENCY_CALLS
from include.specs.model_sections import GatesSpec
from include.specs.models import load_model
from include.steps.compare_champion import compare_champion
from include.steps.load_version import load_version

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.monitoring.feature_profile import ReferenceProfile
    from include.refs import CandidateRef
    from include.scoring.model import ScoringModel

log = logging.getLogger(__name__)

_WARM_UP_CALLS = 100
_CALLS = 2 * MIN_LATENCY_CALLS
_SEED = 0


def gate_candidate(deployment: Deployment, candidate: CandidateRef) -> Evidence:
    """Return the verdict of every gate on a registered version, and what it was trained on.

    Parameters
    ----------
    deployment : Deployment
        Its model registry is read, and where a version is in Production, its state and its lake.
    candidate : CandidateRef

    Raises
    ------
    MlopsError
        If the version can't be read, its files are not what was registered, or it was trained as of another day.
    """
    spec = load_model(candidate.model_id)
    loaded = load_version(deployment, candidate.model_id, candidate.version)
    if loaded.manifest.as_of and loaded.manifest.as_of != candidate.as_of:
        # Who asked for it, and so what it must be, is read off that day.
        raise MlopsError(
            f"{candidate.model_id} version {candidate.version} was trained as of {loaded.manifest.as_of}, and is to be "
            f"held against its gates as of {candidate.as_of}: what was handed over is of another version; train again"
        )
    rows = _typical_rows(loaded.profile, loaded.signature.feature_names)
    # A list is answered by one call.
    rows_per_call = int(loaded.metrics.get("largest_list", 1))
    calls_ms = _measure_calls_ms(loaded.model, rows, rows_per_call)
    champion = compare_champion(deployment, spec, candidate, loaded)
    facts = CandidateFacts(loaded.metrics, calls_ms, rows_per_call, loaded.manifest, champion)
    reports = tuple(_ask(gate, facts, spec.gates) for gate in find_gates(spec.gates))
    log.info(
        "gates model=%s version=%d %s",
        candidate.model_id,
        candidate.version,
        " ".join(f"{report.gate}={report.verdict}" for report in reports),
    )
    return Evidence(candidate.as_of, candidate.run_id, reports, TrainedOn.of(loaded.manifest), champion.version)


def thresholds(gates: GatesSpec, champion: ChampionFacts) -> dict[str, float | None]:
    """Return what each gate of today holds a candidate against, by its name, without asking about one.

    Parameters
    ----------
    gates : GatesSpec
    champion : ChampionFacts
        `include.steps.compare_champion.find_champion`: what a candidate must be depends on what asked for it.
    """
    nothing = CandidateFacts(champion=champion)
    return {gate.name: _ask(gate, nothing, gates).threshold for gate in find_gates(gates)}


def _ask(gate: Gate[Any], facts: CandidateFacts, gates: GatesSpec) -> GateReport:
    try:
        return gate.judge(facts, gates)
    except Exception as err:
        # A gate is pure, so that asking again breaks it again: its candidate is refused for it, with the reason on
        # record, rather than lost.
        log.exception("gate=%s broke", gate.name)
        return GateReport(gate.name, "unknown", None, None, f"the gate broke: {type(err).__name__}: {err}")


def _typical_rows(profile: ReferenceProfile, names: tuple[str, ...]) -> NDArray[np.float32]:
    """Return rows within the reference's range, so that calls walk the trees as real ones do."""
    known = {feature.name: feature for feature in profile.features}
    rng = np.random.default_rng(_SEED)
    rows = np.empty((_CALLS, len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        rows[:, index] = rng.uniform(known[name].minimum or 0.0, known[name].maximum or 0.0, _CALLS)
    return rows


def _measure_calls_ms(model: ScoringModel, rows: NDArray[np.float32], rows_per_call: int) -> tuple[float, ...]:
    # Each call begins a row later than the one before it; after the last row comes the first.
    around = np.resize(rows, (len(rows) + rows_per_call - 1, rows.shape[1]))
    calls = [around[start : start + rows_per_call] for start in range(len(rows))]
    for call in calls[:_WARM_UP_CALLS]:
        model.predict(call, engine="onnx")
    measured = []
    for call in calls:
        started = time.perf_counter()
        model.predict(call, engine="onnx")
        measured.append((time.perf_counter() - started) * 1000)
    return tuple(measured)
