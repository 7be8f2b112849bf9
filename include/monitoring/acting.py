"""Whether a decision acts: the rule that keeps a replay or a backfill from retraining anything.

What belongs here: a pure function of a decision and of what stands of its model when it is recorded. What does not:
what is decided (`decision`); reading those facts, and moving the watermark in the same transaction (the state store).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.monitoring.decision import Decision


@dataclass(frozen=True)
class ActingFacts:
    """What stands of a model at the moment when a decision is recorded.

    Attributes
    ----------
    watermark : str or None
        The newest partition that was decided on; None before the first one.
    newest_published : str or None
        The newest published partition of what the model reads; None where nothing is.
    """

    watermark: str | None
    newest_published: str | None


@dataclass(frozen=True)
class Acting:
    """What comes of a decision.

    Attributes
    ----------
    acts : bool
        It starts a training.
    watermark : str or None
        Where the watermark stands from now on.
    """

    acts: bool
    watermark: str | None


def acts(decision: Decision, facts: ActingFacts, *, partition: str, explicit: bool = False) -> Acting:
    """Say whether a decision acts, and where it leaves the watermark.

    A night counts once: where its partition is newer than the watermark and nothing later is published, it moves
    the watermark, whatever was decided, and a `retrain` acts. Any other night is recorded and nothing else.

    Parameters
    ----------
    decision : Decision
    facts : ActingFacts
    partition : str
        The night that was decided.
    explicit : bool
        A person or a business event asked: a `retrain` acts whatever the watermark says, and leaves it where it is,
        so that the night's own decision stays free.

    Examples
    --------
    A night acts; replayed, it does not.

    >>> from include.monitoring.decision import Decision
    >>> retrain = Decision("retrain", "drift", ("because",))
    >>> first = acts(retrain, ActingFacts("2026-03-01", "2026-03-02"), partition="2026-03-02")
    >>> first
    Acting(acts=True, watermark='2026-03-02')
    >>> acts(retrain, ActingFacts(first.watermark, "2026-03-02"), partition="2026-03-02").acts
    False
    """
    if explicit:
        return Acting(decision.action == "retrain", facts.watermark)
    is_new = facts.watermark is None or partition > facts.watermark
    is_newest = facts.newest_published is None or partition >= facts.newest_published
    if not (is_new and is_newest):
        return Acting(False, facts.watermark)
    return Acting(decision.action == "retrain", partition)
