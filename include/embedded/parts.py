"""The parts of a home, as the watch sees them: how each is started, and by what it is known to be at work.

What belongs here: which parts there are, and what each needs. What does not: when one is started again (`watch`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import httpx

from include.embedded.api import AirflowApi
from include.embedded.home import EmbeddedHome
from include.embedded.processes import RUN_ID_VARIABLE, ProcessTable
from include.embedded.watch import Part
from include.settings import SERVING_PORT

POSTGRES = "PostgreSQL"
SERVER = "api-server"
SERVING = "serving"

_PROBE_TIMEOUT_S = 2.0


def make_parts(home: EmbeddedHome, env: Mapping[str, str], api: AirflowApi) -> tuple[Part, ...]:
    """Return the parts of a home, each after those that it needs.

    Parameters
    ----------
    home : EmbeddedHome
    env : mapping of str to str
        The environment of all parts, with the mark of this start.
    api : AirflowApi
        What is asked after the parts; no login is needed for it.
    """
    postgres, server_s = home.postgres, ("--host", "127.0.0.1", "--port", env["AIRFLOW__API__PORT"])
    both, processes = (POSTGRES, SERVER), home.processes

    def start(name: str, *arguments: str) -> partial[subprocess.Popen[bytes]]:
        return partial(_start, processes, name, arguments, env)

    def airflow(name: str, *arguments: str) -> Part:
        return Part(name, processes.log(name), start(name, *arguments), partial(_is_at_work, api, name), needs=both)

    return (
        Part(POSTGRES, postgres.log_path, postgres.launch, lambda since: postgres.is_ready(), life=postgres.life),
        Part(SERVER, processes.log(SERVER), start(SERVER, *server_s), lambda since: api.is_healthy(), needs=both[:1]),
        airflow("scheduler", "--skip-serve-logs"),
        airflow("dag-processor"),
        airflow("triggerer", "--skip-serve-logs"),
        Part(
            SERVING,
            processes.log(SERVING),
            partial(_start_module, processes, SERVING, ("include.serving",), env),
            partial(_answers, env[SERVING_PORT]),
            needs=both[:1],
        ),
    )


def _start(
    processes: ProcessTable, name: str, arguments: Sequence[str], env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return _start_module(processes, name, ("airflow", name, *arguments), env)


def _start_module(
    processes: ProcessTable, name: str, words: Sequence[str], env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    processes.sweep(name, env[RUN_ID_VARIABLE])
    return processes.spawn(name, [sys.executable, "-m", *words], env)


def _answers(port: str, since: datetime) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=_PROBE_TIMEOUT_S).is_success
    except httpx.HTTPError:
        return False


def _is_at_work(api: AirflowApi, name: str, since: datetime) -> bool:
    heard = api.heard_of(name)
    return heard is not None and heard > since
