"""Find trainings that wait for a run which an event should have started.

What belongs here: decisions that acted and that no training has claimed, as while training was paused. What does not:
starting them, which is for whoever asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


def find_waiting(deployment: Deployment, model_id: str, *, before: str | None = None) -> tuple[str, ...]:
    """Return the nights, up to `before` without it, of decisions that acted and that no training has claimed."""
    waiting = {d.partition for d in deployment.state.decisions(model_id) if d.acted and d.trained_by is None}
    return tuple(sorted(night for night in waiting if before is None or night < before))
