"""Which versions of tables are online, and from when to when that is certain.

What belongs here: asking, and what two answers mean for the time between them. What does not: what is logged.

A table's rows go online after they are in the table, and that they did is written down after that. So what an online
store gives is that of a known version only while nothing newer is in the table: from one look at which the version
online is the newest there is, to the next at which it is the same.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.errors import MlopsError
from include.steps.verify_online import versions_online

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

# Looks that are kept: rows wait for their commit as long as a sink is down, some hours.
_KEPT = 1000


class OnlineVersions:
    """Looks at what is online, by feature service.

    Parameters
    ----------
    look : callable
        Returns, of a feature service, the versions that are online and those of the same tables in the lake.
    now_us : callable
        The wall clock.
    """

    def __init__(
        self,
        look: Callable[[str], tuple[Mapping[str, int], Mapping[str, int | None]]],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._look = look
        self._now_us = now_us
        self._times: dict[str, list[int]] = {}
        self._found: dict[str, list[str | None]] = {}

    def look(self, service: str) -> None:
        """Look now, and keep it."""
        try:
            online, newest = self._look(service)
            found = json.dumps(dict(online), sort_keys=True) if dict(online) == dict(newest) else None
        except (MlopsError, ValueError) as err:
            log.info("serving can't tell which tables of %s are online: %s", service, err)
            found = None
        times, kept = self._times.setdefault(service, []), self._found.setdefault(service, [])
        times.append(self._now_us())
        kept.append(found)
        del times[:-_KEPT], kept[:-_KEPT]

    def at(self, service: str, times_us: NDArray[np.int64]) -> pa.Array:
        """Return the versions that were online at times, as JSON; null where that is not certain."""
        looks, found = self._times.get(service, []), self._found.get(service, [])
        between = [after if after == before else None for before, after in pairwise(found)]
        after = np.searchsorted(looks, times_us, side="right")
        return pa.array([None, *between, None], pa.string()).take(pa.array(after))


def look_at(deployment: Deployment) -> Callable[[str], tuple[Mapping[str, int], Mapping[str, int | None]]]:
    """Return what looks at the tables of a deployment."""

    def look(service: str) -> tuple[Mapping[str, int], Mapping[str, int | None]]:
        online = versions_online(deployment, service)
        return online, {table: deployment.lake.version(table) for table in online}

    return look
