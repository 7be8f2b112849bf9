"""Apply the feature repository: what it declares becomes what the registry and the online tables hold.

What belongs here: that one process does it at a time. What does not: the declarations, and what applying them does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


def apply_features(deployment: Deployment) -> None:
    """Apply the feature repository; again changes nothing, and two at once do it one after the other.

    Parameters
    ----------
    deployment : Deployment
        Its feature registry and online store are written; its state keeps two from meeting.
    """
    with deployment.state.alone("applying the feature repository"):
        deployment.feature_store.apply()
