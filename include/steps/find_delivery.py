"""Say whether a day of raw orders has been delivered.

What belongs here: one look at the lake. What does not: waiting.
"""

from __future__ import annotations

from typing import Literal

from include.adapters.deployment import Deployment
from include.adapters.order_deliveries import arrived_days

Arrival = Literal["delivered", "missing", "not_arrived"]


def find_delivery(partition: str) -> Arrival:
    """Return ``delivered``, ``missing`` (later days are there) or ``not_arrived`` (none is).

    Parameters
    ----------
    partition : str
        The day.
    """
    delivered = arrived_days(Deployment.from_env().lake)
    if partition in delivered:
        return "delivered"
    return "missing" if delivered and delivered[-1] > partition else "not_arrived"
