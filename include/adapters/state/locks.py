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

_TAKE_AT_ONCE = "SELECT pg_try_advisory_xact_lock{shared}(hashtext(:name))"
_WAIT = "SELECT pg_advisory_xact_lock{shared}(hashtext(:name))"


class Locks(StateDatabase):
    """Advisory locks of PostgreSQL: one that its holder's death lets go."""

    @contextmanager
    def alone(self, work: str, *, not_during: str | None = None) -> Iterator[None]:
        """Let one process at a time into the block of those that name the same work; the others wait.

        Parameters
        ----------
        work : str
            In words, e.g. ``"registering churn-predictor"``. Whoever holds it must not ask for it again.
        not_during : str, optional
            Another work: nobody is alone with that one meanwhile. Any number of works may be done at once that are not
            done during it, and none of them within another: who waits for all of them would stand between the two.

        Notes
        -----
        Whose connection breaks meanwhile holds it no more, goes on all the same, and is told so at the end.
        """
        is_done, failed = False, None
        try:
            with self._transaction() as connection:
                _take(connection, work)
                if not_during is not None:
                    _take(connection, not_during, shared="_shared")
                try:
                    yield
                except sa.exc.SQLAlchemyError as err:
                    # Another database's, which is not to be told as this one's.
                    failed = err
                is_done = True
        except MlopsError:
            if not is_done:
                raise
            # It was let go as the connection broke: what was done under it has been done all the same.
            log.warning("%s: the lock was lost before its end; another process may have been at it too", work)
        if failed is not None:
            raise failed


def _take(connection: sa.Connection, work: str, *, shared: str = "") -> None:
    lock = {"name": f"mlops {work}"}
    if not connection.scalar(sa.text(_TAKE_AT_ONCE.format(shared=shared)), lock):
        log.warning("%s: another process is at it; waiting", work)
        connection.execute(sa.text(_WAIT.format(shared=shared)), lock)
