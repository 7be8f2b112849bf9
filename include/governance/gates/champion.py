"""The gate of the champion: whether the candidate may take the place of the version in Production.

What belongs here: the verdict. What does not: the scores of both on the same rows, which are the step's, and their
difference, which is `training.comparison`'s.
"""

from __future__ import annotations

from include.governance.evidence import GateReport
from include.governance.gate import CandidateFacts, ChampionFacts, Gate
from include.specs.model_sections import GatesSpec
from include.training.comparison import PairedDifference

# Of fewer the interval is Student's t and hardly the rows: 20 of them, all alike, leave it a tenth wide on each side.
MIN_ENTITIES = 20


def judge_champion(facts: CandidateFacts, gates: GatesSpec) -> GateReport:
    """Judge the lower end of the interval of candidate - champion by what asked for the training.

    Parameters
    ----------
    facts : CandidateFacts
        Of its champion: nothing in Production gives ``not_applicable``; what could not be compared, or on rows of fewer
        than `MIN_ENTITIES` entities, gives ``unknown``.
    gates : GatesSpec
        ``scheduled_gain`` where the schedule asked, else ``-champion_margin``: the end must lie above it.

    Examples
    --------
    >>> from include.specs.model_sections import BinaryGatesSpec
    >>> gates = BinaryGatesSpec(auc_min=0.7, latency_p99_ms_max=50, champion_margin=0.02)
    >>> found = PairedDifference("AUC", 0.84, 0.83, -0.005, 0.025, 900, 120)
    >>> judge_champion(CandidateFacts(champion=ChampionFacts(1, "drift", found)), gates).verdict
    'pass'
    >>> judge_champion(CandidateFacts(champion=ChampionFacts(1, "schedule", found)), gates).verdict
    'fail'
    """
    champion = facts.champion
    if champion is None:
        return GateReport("champion", "unknown", None, None, "nobody looked for the version in Production")
    if champion.version is None:
        return GateReport("champion", "not_applicable", None, None, "no version is in Production to compare with")
    threshold = gates.scheduled_gain if champion.asked_by == "schedule" else -gates.champion_margin
    found = champion.found
    if found is None:
        reason = f"can't be compared with version {champion.version} in Production: {champion.why_not}"
        return GateReport("champion", "unknown", None, threshold, reason)
    told = f"{_tell(found, champion)}; {_tell_asked(champion, gates)}"
    if found.entities < MIN_ENTITIES:
        reason = f"{told}: {found.entities} independent entities say nothing of it, {MIN_ENTITIES} are needed"
        return GateReport("champion", "unknown", None, threshold, reason)
    passes = found.low > threshold
    reason = f"{told}: {found.low:+.4f} {'>' if passes else '≤'} {threshold:+.4f}{'' if passes else _tell_doubt(found)}"
    return GateReport("champion", "pass" if passes else "fail", found.low, threshold, reason)


def _tell(found: PairedDifference, champion: ChampionFacts) -> str:
    left = f", {champion.seen} more left out, whose time is that of labels it was fitted on" if champion.seen else ""
    other = f", which was fitted to tell {champion.fitted_to}," if champion.fitted_to else ""
    return (
        f"{found.metric} {found.candidate:.4f}, version {champion.version} in Production{other} has "
        f"{found.champion:.4f} on the same {found.rows} rows{left}; difference {found.difference:+.4f}, 95 % interval "
        f"[{found.low:+.4f}, {found.high:+.4f}]"
    )


def _tell_asked(champion: ChampionFacts, gates: GatesSpec) -> str:
    if champion.asked_by == "schedule":
        better = "must be better" if gates.scheduled_gain == 0 else f"must gain more than {gates.scheduled_gain:+g}"
        return f"the schedule asked, so that it {better}"
    asked = f"{champion.asked_by} asked" if champion.asked_by else "who asked is not on record"
    return f"{asked}, so that it must not be worse by {gates.champion_margin:g}"


def _tell_doubt(found: PairedDifference) -> str:
    return ", and it is worse" if found.high < 0 else ", which these rows do not show"


GATE = Gate("champion", judge_champion, GatesSpec)
