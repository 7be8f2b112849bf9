"""A port of 127.0.0.1 that no other home takes while Airflow comes up.

What belongs here: finding one and keeping it. What does not: who listens there.
"""

from __future__ import annotations

import fcntl
import socket
from itertools import chain
from pathlib import Path
from tempfile import gettempdir
from typing import IO

from include.errors import UsageError
from include.settings import DEFAULT_SERVING_PORT, SERVING_PORT

# What sets a port, and the one that is taken where nothing does.
_DEFAULTS = {"MLOPS_PORT": 8080, SERVING_PORT: DEFAULT_SERVING_PORT}


class PortClaim:
    """One port, kept until it is let go: the server binds it seconds later, and another home may start meanwhile.

    Parameters
    ----------
    variable : str
        The environment variable that sets it.
    """

    def __init__(self, variable: str = "MLOPS_PORT") -> None:
        self._variable = variable
        self._lock: IO[str] | None = None

    def take(self, wanted: int | None, *, last: int | None) -> int:
        """Keep the wanted port, or where none is wanted the last one, the usual one, or any that is free.

        Raises
        ------
        UsageError
            If the wanted port is busy.
        """
        if wanted is None:
            usual = _DEFAULTS[self._variable]
            candidates = chain((last or usual, usual), iter(_free_port, None))
            return next(port for port in candidates if self._keep(port))
        if not self._keep(wanted):
            raise UsageError(
                f"port {wanted} of 127.0.0.1 is busy; set {self._variable} to a free one, or leave it unset"
            )
        return wanted

    def let_go(self) -> None:
        """Leave the port to others."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _keep(self, port: int) -> bool:
        try:
            lock = (Path(gettempdir()) / f"mlops-port-{port}.lock").open("a")
        except PermissionError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        if not is_free(port):
            lock.close()
            return False
        self._lock = lock
        return True


def is_free(port: int) -> bool:
    """Say whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
