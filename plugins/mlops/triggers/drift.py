"""The trigger behind `PsiDriftSensor`.

What belongs here: what of a measured night an event carries. What does not: measuring or judging it.
"""

from __future__ import annotations

from typing import TypedDict

from mlops.triggers.night import NightTrigger


class PsiDriftEvent(TypedDict):
    """What the trigger fires with: the features that shifted, each with what was seen of it, or why nothing counts."""

    partition: str
    shifted: dict[str, str]
    unjudged: str | None


class PsiDriftTrigger(NightTrigger):
    """Fire when monitoring has measured a partition; parameters are those of `NightTrigger`."""

    def look(self) -> PsiDriftEvent | None:
        """Return what shifted as an event, where the night has been measured."""
        from include.steps.read_shift import read_shift

        night = read_shift(self.model_id, self.partition)
        if night is None:
            return None
        return PsiDriftEvent(partition=self.partition, shifted=night.shifted, unjudged=night.unjudged)
