"""How long is waited for what others send: one look at all that wait, as a timer for each costs as much as an answer.

What belongs here: who waits, since when, and its end. What does not: what is waited for, and what is answered then.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, cast

_LOOKS = 10


class Patience:
    """Ends the waits of tasks of one event loop that last longer than some seconds, by `TimeoutError`.

    A task waits in a ``with`` block of it, and in one at a time. A wait ends at most a tenth of its time late.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # In the order in which they began.
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._is_looking = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[_this_task()] = loop.time()
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(self._seconds / _LOOKS, self._look, loop)

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, _: TracebackType | None) -> None:
        task = _this_task()
        if self._waiting.pop(task, None) is None and kind is asyncio.CancelledError and task.uncancel() == 0:
            raise TimeoutError from err

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        latest = loop.time() - self._seconds
        overdue = []
        for task, since in self._waiting.items():
            if since > latest:
                break
            overdue.append(task)
        for task in overdue:
            del self._waiting[task]
            task.cancel()
        self._is_looking = bool(self._waiting)
        if self._is_looking:
            loop.call_later(self._seconds / _LOOKS, self._look, loop)


def _this_task() -> asyncio.Task[Any]:
    return cast("asyncio.Task[Any]", asyncio.current_task())
