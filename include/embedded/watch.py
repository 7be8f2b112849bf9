"""The watch over the parts of a home: which has ended, when it is started again, and when that is no use any more.

What belongs here: that policy, over parts that it knows by what they can do. What does not: what the parts are, and
how a home is stopped.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from include.errors import MlopsError

# A part may end so often within so long; once more, and something is wrong that starting it again doesn't mend.
MOST_ENDS = 5
WINDOW_S = 600.0
_LONGEST_DELAY_S = 30.0
_UP_TIMEOUT_S = 180.0
# Who fails within this time after what it needs was gone has failed of that.
_AFTERMATH_S = 60.0


@dataclass(frozen=True)
class Part:
    """A part of a home, by what the watch has to know of it.

    Attributes
    ----------
    name : str
    log : Path
        Where it says why it ended.
    start : callable
        Starts it, after what an earlier one left behind has been removed; returns its process.
    is_up : callable
        Takes when it was started, and says whether it has been at work since.
    needs : tuple of str
        The parts without which it can't work; they come before it.
    life : callable
        What changes when it renews itself though its process goes on; None says nothing.
    """

    name: str
    log: Path
    start: Callable[[], subprocess.Popen[bytes]]
    is_up: Callable[[datetime], bool]
    needs: tuple[str, ...] = ()
    life: Callable[[], object | None] = lambda: None


@dataclass
class _Watched:
    part: Part
    process: subprocess.Popen[bytes] | None
    # Since when it is waited for, by the clock and by the calendar; None once it is up.
    waiting: tuple[float, datetime] | None = None
    due: float = 0.0
    ends: list[float] = field(default_factory=list)
    renewed: float | None = None
    life: object | None = None

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.waiting is None


class Watch:
    """Parts that are kept up.

    Parameters
    ----------
    parts : sequence of Part
        A part after those that it needs.
    running : mapping of str to Popen
        Their processes, by name.
    tell : callable
        Takes a line for a person.
    clock : callable
        Seconds that only grow.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        running: Mapping[str, subprocess.Popen[bytes]],
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = {part.name: _Watched(part, running[part.name], life=part.life()) for part in parts}
        self._tell = tell
        self._now = clock

    def look(self) -> None:
        """See once after every part, and do what is due.

        Raises
        ------
        MlopsError
            If a part has ended more often than starting it again makes sense.
        """
        for watched in self._parts.values():
            if watched.process is None:
                self._start_if_due(watched)
            elif (code := watched.process.poll()) is not None:
                self._note_end(watched, code)
            elif watched.waiting is not None:
                self._see_whether_up(watched, watched.process, *watched.waiting)
            else:
                self._see_whether_renewed(watched)

    def _note_end(self, watched: _Watched, code: int) -> None:
        watched.process, watched.waiting = None, None
        name, ended = watched.part.name, f"ended ({_told(code)})"
        cause = self._cause(watched) if code > 0 else None
        if cause is None:
            self._count_end(watched, ended)
        else:
            watched.due = self._now() + 1
            self._tell(f"{name} {ended} for want of {cause}; it is started again after it")

    def _count_end(self, watched: _Watched, what: str) -> None:
        now, part = self._now(), watched.part
        watched.ends = [*(at for at in watched.ends if now - at < WINDOW_S), now]
        times = len(watched.ends)
        if times > MOST_ENDS:
            raise MlopsError(
                f"{part.name} {what}, the {times}th time within {now - watched.ends[0]:.0f} s; everything is stopped. "
                f"Its log is {part.log}"
            )
        delay = min(_LONGEST_DELAY_S, 2.0 ** (times - 2)) if times > 1 else 0.0
        watched.due = now + delay
        when = f"in {delay:.0f} s" if delay else "now"
        self._tell(f"{part.name} {what}; it is started again {when}. Its log is {part.log}")

    def _cause(self, watched: _Watched) -> str | None:
        """Return the needed part that is gone, or was a moment ago."""
        for name in watched.part.needs:
            needed = self._parts[name]
            is_shaken = needed.renewed is not None and self._now() - needed.renewed < _AFTERMATH_S
            if not needed.is_up or needed.process is None or needed.process.poll() is not None or is_shaken:
                return name
        return None

    def _start_if_due(self, watched: _Watched) -> None:
        if self._now() < watched.due or not all(self._parts[name].is_up for name in watched.part.needs):
            return
        watched.waiting = self._now(), datetime.now(UTC)
        try:
            watched.process = watched.part.start()
        except (OSError, MlopsError) as err:
            self._count_end(watched, f"can't be started ({err})")

    def _see_whether_up(
        self, watched: _Watched, process: subprocess.Popen[bytes], started: float, since: datetime
    ) -> None:
        took_s = self._now() - started
        if watched.part.is_up(since):
            watched.waiting, watched.renewed, watched.life = None, self._now(), watched.part.life()
            self._tell(f"{watched.part.name} is back ({took_s:.0f} s)")
        elif took_s > _UP_TIMEOUT_S:
            self._tell(f"{watched.part.name} has not come up within {_UP_TIMEOUT_S:.0f} s; it is ended")
            process.kill()

    def _see_whether_renewed(self, watched: _Watched) -> None:
        life = watched.part.life()
        if life is None or life == watched.life:
            return
        watched.life, watched.renewed = life, self._now()
        self._tell(f"{watched.part.name} lost a process of its own and recovers; its log is {watched.part.log}")


def _told(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
