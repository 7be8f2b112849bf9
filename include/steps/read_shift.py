"""Read which features of a night have shifted, as the night was judged.

What belongs here: what counts of a stored judgement. What does not: judging (``monitor_model``), and what is to be done
about a shift (``decide_retrain``).
"""

from __future__ import annotations

from dataclasses import dataclass

from include.adapters.deployment import Deployment
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.decision_words import SCORE
from include.monitoring.feature_drift import Verdict, tell_drift
from include.steps.monitor_model import load_nights


@dataclass(frozen=True)
class NightShift:
    """What counts of one night.

    Attributes
    ----------
    shifted : dict of str to str
        The features whose verdict is ``significant``, each with what was seen of it; the score is none, nor is a
        feature that looks back further than there was history: it asks for nothing. Nothing of a night whose data can't
        be trusted.
    unjudged : str or None
        Why nothing of the night counts.
    """

    shifted: dict[str, str]
    unjudged: str | None = None


def read_shift(model_id: str, partition: str) -> NightShift | None:
    """Return what has shifted by a night's stored verdicts; None while it is not measured."""
    nights = load_nights(Deployment.from_env(), model_id, until=partition)
    if not nights or nights[-1].partition != partition:
        return None
    quality = nights[-1].data_quality
    if quality.status != "ok":
        return NightShift({}, f"data {quality.status}: {'; '.join(quality.reasons)}")
    if replaced := _told(nights[-1], "schema"):
        return NightShift({}, f"another schema: {'; '.join(f'{name}: {seen}' for name, seen in replaced.items())}")
    return NightShift(_told(nights[-1], "significant"))


def _told(night: NightMetrics, verdict: Verdict) -> dict[str, str]:
    found = [drift for drift in night.drift if drift.feature != SCORE and drift.verdict == verdict]
    if verdict == "significant":
        found = [drift for drift in found if drift.feature not in night.young]
    return {drift.feature: tell_drift(drift) for drift in found}
