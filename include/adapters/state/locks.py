"""Locks that processes take in turn, on one machine or several.

What belongs here: taking one. What does not: what is done under it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from include.adapters.state.database import StateDatabase
from include.errors import MlopsError

log = logging.getLogger(__name__)

_TAKE_AT_ONCE = sa.text("SELECT pg_try_advisory_xact_lock(hashtext(:name))")
_WAIT = sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))")


class Locks(StateDatabase):
    """Advisory locks of PostgreSQL: one that its holder's death lets go."""

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Let one process at a time into the block of those that name the same work; the others wait.

        Parameters
        ----------
        work : str
            In words, e.g. ``"registering churn-predictor"``. Whoever holds it must not ask for it again.

        Notes
        -----
        Whose connection breaks meanwhile holds it no more, goes on all the same, and is told so at the end.
        """
        lock, is_done = {"name": f"mlops {work}"}, False
        try:
            with self._transaction() as connection:
                if not connection.scalar(_TAKE_AT_ONCE, lock):
                    log.warning("%s: another process is at it; waiting", work)
                    connection.execute(_WAIT, lock)
                yield
                is_done = True
        except MlopsError:
            if not is_done:
                raise
            # It was let go as the connection broke: what was done under it has been done all the same.
            log.warning("%s: the lock was lost before its end; another process may have been at it too", work)
