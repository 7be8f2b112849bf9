"""Windows of what was answered, each minute to the state database.

What belongs here: when a minute is over, and what waits while the database is down. What does not: counting
(``recorder``), and the table (``adapters.state.serving_windows``).
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from include.errors import MlopsError
from include.monitoring.serving_windows import ServingWindow

log = logging.getLogger(__name__)

MINUTE_S = 60.0
# Days of three models; what is beyond is told and gone.
_WAITING = 50_000
_RETRY_S = 10.0
# A timer that rings early would have the minute before twice.
_AFTER_S = 0.01

Write: TypeAlias = Callable[[Sequence[ServingWindow]], None]


class WindowWriter:
    """Closes windows in the thread that answers, and writes them in one of its own.

    Parameters
    ----------
    close : callable
        Returns what was counted since it was called before, see `Recorder.close_window`.
    write : callable
        Writes windows, each once however often it is called.
    """

    def __init__(self, close: Callable[[datetime], list[ServingWindow]], write: Write) -> None:
        self._close, self._write = close, write
        self._closed: queue.SimpleQueue[list[ServingWindow] | None] = queue.SimpleQueue()
        self._waiting: list[ServingWindow] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="serving-windows", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def keep_closing(self) -> None:
        """Close a window at the end of each minute, until it is cancelled."""
        while True:
            await asyncio.sleep(MINUTE_S - datetime.now(UTC).timestamp() % MINUTE_S + _AFTER_S)
            self.close()

    def close(self) -> None:
        """Close a window now."""
        self._closed.put(self._close(datetime.now(UTC)))

    def stop(self, *, within_s: float = 5.0) -> None:
        """Write what waits, once, and end the thread."""
        self._closed.put(None)
        self._thread.join(within_s)
        if self._waiting:
            log.error("serving windows: %d are lost, the state database did not take them", len(self._waiting))

    def _run(self) -> None:
        while not self._is_over:
            self._gather()
            if self._waiting:
                self._try()

    def _gather(self) -> None:
        """Take what was closed; wait for it no longer than what waits does."""
        try:
            closed = self._closed.get(timeout=_RETRY_S if self._waiting else None)
        except queue.Empty:
            return
        if closed is None:
            self._is_over = True
            return
        self._waiting += closed
        if len(self._waiting) > _WAITING:
            log.error("serving windows: %d are lost, more can't wait", len(self._waiting) - _WAITING)
            del self._waiting[_WAITING:]

    def _try(self) -> None:
        try:
            self._write(self._waiting)
        except MlopsError as err:
            log.warning("serving windows: %d wait: %s", len(self._waiting), err)
        except Exception:
            # Nobody has foreseen it; without the thread no minute would be written any more.
            log.exception("serving windows: %d wait", len(self._waiting))
        else:
            self._waiting = []
