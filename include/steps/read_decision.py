"""Read what was decided, as it was recorded.

What belongs here: which of a night's decisions is its own, and which retrains acted. What does not: deciding
(``decide_retrain``), and what people and business events ask for, which has decisions of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.deployment import Deployment

if TYPE_CHECKING:
    from include.adapters.state.decisions import DecisionRow


def read_decision(model_id: str, partition: str) -> DecisionRow | None:
    """Return a night's own decision; None while there is none.

    It is the first, which could act: a night that is replayed is decided on again, and that changes nothing.
    """
    decisions = Deployment.from_env().state.decisions(model_id)
    return next((each for each in decisions if each.partition == partition and not each.requested), None)


def read_acted(deployment: Deployment, model_id: str, *, before: str | None) -> list[DecisionRow]:
    """Return the decisions that acted, of nights before `before`, in the order in which they were made; None: all."""
    decisions = deployment.state.decisions(model_id)
    return [each for each in decisions if each.acted and (before is None or each.partition < before)]
