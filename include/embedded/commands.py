"""A home's PostgreSQL for the time of a command: started where it is down, shared by commands, stopped by the last one.

What belongs here: holding the server, and letting it go. What does not: when a command needs it, which is its
deployment's to say, and a home that is up, whose server is only used.
"""

from __future__ import annotations

import fcntl
import subprocess
import time
from typing import TYPE_CHECKING, TextIO

from include.embedded.databases import create_databases
from include.embedded.environment import steps_environment
from include.embedded.guardian import start_guardian
from include.embedded.home import EmbeddedHome, open_home
from include.embedded.processes import SUPERVISOR
from include.embedded.upgrade import Upgrade, addresses
from include.errors import MlopsError
from include.settings import Settings

if TYPE_CHECKING:
    from include.adapters.deployment import Store

_BACK_TIMEOUT_S = 60
_LOOK_EVERY_S = 0.1


class CommandPostgres(EmbeddedHome):
    """The embedded PostgreSQL as a command uses it.

    Parameters
    ----------
    settings : Settings
        A store that they have elsewhere is left alone.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.home)
        self.settings = settings
        self._claim: TextIO | None = None
        self._guardian: subprocess.Popen[bytes] | None = None

    def hold(self, store: Store) -> None:
        """Have the server up, and a store in it as the code expects it, until `let_go`.

        Raises
        ------
        UsageError
            If the home can't be one.
        MlopsError
            If the server does not come up, or the store can't be brought to what the code expects.
        """
        own = addresses(Settings.from_env({"MLOPS_HOME": str(self.home)}))[store]
        here = [address == default for address, default in zip(addresses(self.settings)[store], own, strict=True)]
        if not any(here):
            return
        if not self.postgres.is_made():
            open_home(self.settings)
        deadline = time.monotonic() + _BACK_TIMEOUT_S
        # One that only has its address partly here is not changed: the other part is somebody else's.
        while not self._is_there([store] if all(here) else []):
            if time.monotonic() > deadline:
                raise MlopsError(f"{self.home} is up, but its PostgreSQL is not back after {_BACK_TIMEOUT_S} s")
            time.sleep(_LOOK_EVERY_S)

    def let_go(self) -> None:
        """Stop the server, unless another command uses it or the home is up; again does nothing."""
        if self._claim is None:
            return
        self._claim.close()
        self._claim = None
        self.stop_unused()
        if self._guardian is not None:
            self._guardian.kill()
            self._guardian.wait()
            self._guardian = None

    def _is_there(self, stores: list[Store]) -> bool:
        """Bring the server and the stores up; of a home that is up, only say whether the server is there."""
        with self._locked():
            if self._claim is None:
                self._claim = self._open_claims()
                fcntl.flock(self._claim, fcntl.LOCK_SH)
            if self.processes.alive(SUPERVISOR) is not None:
                return self.postgres.is_ready()
            if self._guardian is None:
                self._guardian = start_guardian(self.home)
            self._end_processes()
            if not self.postgres.is_ready():
                self.postgres.stop()
                self.postgres.start()
            create_databases(self.home)
            try:
                Upgrade(self, self.settings).bring(stores, steps_environment(self.settings), lambda line: None)
            finally:
                self._end_processes()
        return True

    def _end_processes(self) -> None:
        """End what an upgrade has left, or a start that was killed: the server serves on."""
        if self.processes.records():
            self.processes.stop(self.run_id())
