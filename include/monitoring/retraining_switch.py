"""The switch that holds retraining: who threw it, when, why, and what a decision makes of it.

What belongs here: moves of the switch as values, and the veto that they are. What does not: keeping them (the state
store), and `decision.stop` of a spec, which holds a model by its deployment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The state store keeps moves wherever it is, and a decision's tests are not in every image.
    from include.monitoring.decision import Decision


@dataclass(frozen=True)
class SwitchMove:
    """One throw of a switch: there is one for each model, and one for all of them.

    Attributes
    ----------
    model_id : str or None
        None of the switch that holds every model.
    is_stop : bool
        It holds from now on; otherwise it does no more.
    actor : str
        Who threw it.
    reason : str
    recorded_at : datetime
    """

    model_id: str | None
    is_stop: bool
    actor: str
    reason: str
    recorded_at: datetime

    def __str__(self) -> str:
        done = "stopped" if self.is_stop else "started again"
        return f"retraining of {self.held} was {done} by {self.actor} at {self._at}: {self.reason}"

    @property
    def held(self) -> str:
        """What the switch holds, in words."""
        return "all models" if self.model_id is None else self.model_id

    @property
    def command(self) -> str:
        """The command that throws the switch back."""
        verb = "start" if self.is_stop else "stop"
        return (
            f"mlops retraining {verb}" if self.model_id is None else f"mlops retraining {verb} --model {self.model_id}"
        )

    @property
    def _at(self) -> str:
        return f"{self.recorded_at.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def newest_moves(moves: Sequence[SwitchMove]) -> dict[str | None, SwitchMove]:
    """Return how each switch stands: its last move, by its model.

    Parameters
    ----------
    moves : sequence of SwitchMove
        In the order they were recorded.
    """
    return {move.model_id: move for move in moves}


def find_stops(moves: Sequence[SwitchMove], model_id: str) -> tuple[SwitchMove, ...]:
    """Return the moves that hold a model's retraining now: of its own switch, of the one for all, of both, or none.

    Examples
    --------
    >>> at = datetime(2026, 3, 1, 8, tzinfo=UTC)
    >>> moves = [SwitchMove(None, True, "ada", "audit", at), SwitchMove("churn", True, "bo", "new prices", at)]
    >>> [stop.actor for stop in find_stops(moves, "churn")], [stop.actor for stop in find_stops(moves, "fraud")]
    (['ada', 'bo'], ['ada'])
    >>> over = SwitchMove(None, False, "ada", "audit is over", at)
    >>> [stop.actor for stop in find_stops([*moves, over], "churn")], find_stops([*moves, over], "fraud")
    (['bo'], ())
    """
    newest = newest_moves(moves)
    found = (newest.get(None), newest.get(model_id))
    return tuple(move for move in found if move is not None and move.is_stop)


def veto_stopped(decision: Decision, stops: Sequence[SwitchMove]) -> Decision:
    """Return a decision as it is while its model is held: a veto that names who and why, and tells what it would be."""
    if not stops:
        return decision
    held = tuple(f"{stop}; no retrain starts before {stop.command}" for stop in stops)
    return replace(decision, action="veto", trigger="none", reasons=(*held, *decision.reasons))
