"""Hold the retraining of a model, or of all, and let it go again, in somebody's name.

What belongs here: throwing the switch once. What does not: what a decision makes of it
(`monitoring.retraining_switch`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.errors import RefusedError, UsageError
from include.monitoring.retraining_switch import SwitchMove, newest_moves
from include.words import as_line

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def switch_retraining(
    deployment: Deployment, model_id: str | None, *, is_stop: bool, actor: str, reason: str
) -> SwitchMove:
    """Throw a switch and return the move; what is decided from now on obeys it, a training that runs goes on.

    Parameters
    ----------
    deployment : Deployment
        Its state is written.
    model_id : str or None
        None throws the switch that holds every model, and leaves those of single models as they stand.
    is_stop : bool
        Hold retraining; otherwise let it go.
    actor : str
        Who throws it.
    reason : str

    Raises
    ------
    UsageError
        If the reason gives none.
    RefusedError
        If it stands so already, with who has thrown it and why; nothing is recorded.
    """
    why, state = as_line(reason), deployment.state
    if not why:
        raise UsageError(f"the reason {reason!r} gives none; write why, in a sentence: it is kept")
    thrown = state.throw_switch(model_id, is_stop=is_stop, actor=actor, reason=why)
    stands = newest_moves(state.switch_moves()).get(model_id)
    if stands is None:
        raise RefusedError(f"retraining of {'all models' if model_id is None else model_id} was never stopped")
    if not thrown:
        raise RefusedError(f"nothing is changed: {stands}")
    log.info("switch model=%s stop=%s actor=%s reason=%s", model_id or "all", is_stop, actor, stands.reason)
    return stands
