"""A home of the embedded default as it is found: closed to others, told where it answers, stopped to the last process.

What belongs here: making it, and what takes nothing but its folder, so that it works whatever its settings say. What
does not: starting it.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from include.embedded.logins import read_password
from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import SUPERVISOR, ProcessTable
from include.errors import UsageError
from include.home import HomeSettings, recall, remember, settings_file
from include.settings import PROJECT_ROOT, Settings

_DOWN_TIMEOUT_S = 60
_MADE_FIRST = ("settings.json", "run/up.json", "landing", "lake", "postgres", "demo", "serving/keys.json")


@dataclass(frozen=True)
class Address:
    """Where a running home answers: Airflow, with the login of its first admin, and the online service."""

    url: str
    user: str
    password: str
    serving_url: str


def make_home(home: Path, made_with: HomeSettings) -> None:
    """Close a home to everybody but its owner, and write down what it is made with where it is new.

    Raises
    ------
    UsageError
        If the folder is a person's own, holds the project or other things, or is somebody else's: closing it would
        close more than a home.
    """
    if home in (Path.home(), PROJECT_ROOT, *PROJECT_ROOT.parents):
        raise _holds_more(home)
    home.mkdir(parents=True, exist_ok=True)
    try:
        with _alone_in(home):
            if _is_of_others(home):
                raise _holds_more(home)
            home.chmod(0o700)
            if recall(home) is None:
                remember(home, made_with)
    except PermissionError as err:
        raise UsageError(f"MLOPS_HOME={str(home)!r} is somebody else's; name a folder of your own") from err


def open_home(settings: Settings) -> None:
    """Make the home of these settings, or find it again.

    Raises
    ------
    UsageError
        If the overlay of specs is not there, or the home can't be one.
    """
    overlay = settings.specs_overlay
    if overlay is not None and not overlay.is_dir():
        raise UsageError(
            f"the overlay of specs {str(overlay)!r} is not a folder; put it back, or correct what names it: "
            f"MLOPS_SPECS, or {settings_file(settings.home)}"
        )
    make_home(settings.home, HomeSettings(overlay))


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time make a folder a home: before it is one, no file in it may hold a lock."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _holds_more(home: Path) -> UsageError:
    return UsageError(f"MLOPS_HOME={str(home)!r} holds more than a home; name a folder that is there for it alone")


def _is_of_others(folder: Path) -> bool:
    """Say whether a folder has something in it, and nothing that a command of ours puts there first."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    return not any((folder / name).exists() for name in _MADE_FIRST)


class EmbeddedHome:
    """One home's PostgreSQL and Airflow, whoever started them.

    Parameters
    ----------
    home : Path
        ``MLOPS_HOME``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.postgres = EmbeddedPostgres(home)
        self.processes = ProcessTable(home)
        self._run_file = home / "run" / "up.json"

    def address(self) -> Address:
        """Return where this home answers, or answered last."""
        run = self._last_run()
        serving_url = f"http://127.0.0.1:{run['serving_port']}"
        return Address(run["url"], run["user"], read_password(self.home, run["user"]), serving_url)

    def owns_home(self) -> bool:
        """Say whether the home was made by us."""
        return self._run_file.exists() or recall(self.home) is not None

    def run_id(self) -> str | None:
        """Return the mark that all processes of the present or last start carry."""
        return self._last_run()["run_id"] if self._run_file.exists() else None

    def stop_run(self, run_id: str) -> None:
        """Stop everything of that start, unless it has been stopped, or the home started anew, since."""
        with self._locked():
            if self.run_id() == run_id and self.processes.records():
                self._stop_parts()

    def stop_unused(self) -> None:
        """Stop what commands have started, unless one of them still uses it, or this home is up."""
        with self._locked():
            if self.processes.alive(SUPERVISOR) is None and not self._is_used():
                self._stop_parts()

    def stop_from_outside(self) -> bool:
        """Stop this home whoever started it; say whether anything was running."""
        if not self._run_file.parent.exists():
            # Whatever is started of a home is written down there first: a folder that is none stays as it is.
            return False
        supervisor = self.processes.alive(SUPERVISOR)
        was_up = supervisor is not None or self.postgres.pid() is not None
        if supervisor is not None:
            os.kill(supervisor.pid, signal.SIGTERM)
            deadline = time.monotonic() + _DOWN_TIMEOUT_S
            while supervisor.is_alive() and time.monotonic() < deadline:
                time.sleep(0.2)
        with self._locked():
            self._stop_parts()
        return was_up

    def _last_run(self) -> dict[str, Any]:
        run: dict[str, Any] = json.loads(self._run_file.read_text())
        return run

    def _stop_parts(self) -> None:
        self.processes.stop(self.run_id())
        self.postgres.stop()

    def _open_claims(self) -> TextIO:
        """Open the file that each command holds a shared lock of while it uses the server; its death lets it go."""
        return (self._run_file.parent / "commands").open("w")

    def _is_used(self) -> bool:
        """Say whether a command uses the server; to be asked under the lock, under which claims are made."""
        with self._open_claims() as claims:
            try:
                fcntl.flock(claims, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep a start and a stop of this home apart, across processes."""
        self._run_file.parent.mkdir(parents=True, exist_ok=True)
        with (self._run_file.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
