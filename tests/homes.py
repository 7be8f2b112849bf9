"""What a home that runs is made of for those beside it: its processes, and what it keeps secret.

What belongs here: finding them. What does not: starting a home, and who must not see what.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

import psutil

from include.embedded.logins import passwords_file
from include.embedded.processes import RUN_ID_VARIABLE
from include.embedded.supervisor import EmbeddedAirflow
from include.settings import Settings


def processes_of(home: Path, sessions: Collection[int]) -> list[psutil.Process]:
    """Return each process of a home that lives, by what its table said of sessions, its command line or its run."""
    run_id = EmbeddedAirflow(Settings.from_env({"MLOPS_HOME": str(home)}), say=print).run_id()
    found = []
    for process in psutil.process_iter():
        try:
            # A server may rename itself, and its environment is gone with its name: its session is not.
            belongs = (
                os.getsid(process.pid) in sessions
                or str(home) in " ".join(process.cmdline())
                or (run_id is not None and process.environ().get(RUN_ID_VARIABLE) == run_id)
            )
        except (psutil.Error, ProcessLookupError):
            continue
        if belongs and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def secrets_of(home: Path) -> dict[str, str]:
    """Return what a home keeps out of logs and command lines, by name."""
    secrets = {path.name: path.read_text() for path in (home / "airflow" / "secrets").iterdir()}
    return secrets | json.loads(passwords_file(home).read_text())
