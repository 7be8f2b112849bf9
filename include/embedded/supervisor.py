"""The embedded default, up and down: PostgreSQL, then Airflow, and a guardian that outlives us.

What belongs here: the order of starting and stopping. What does not: what the processes do.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import gettempdir
from typing import IO

from include.embedded.api import USER, AirflowApi, read_password
from include.embedded.environment import DATABASES, airflow_environment
from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import RUN_ID_VARIABLE, SUPERVISOR, ProcessTable
from include.errors import MlopsError, RefusedError
from include.settings import PROJECT_ROOT, Settings

DEFAULT_PORT = 8080
_HEALTHY_TIMEOUT_S = 180
_DOWN_TIMEOUT_S = 60
# name → slots; airflow_settings.yaml says the same to Astro.
POOLS = {"feature_store": (1, "writers to Feast's registry"), "training": (1, "model fitting")}
_DEPLOYED_BY = ("feature_repo", "include/adapters", "include/config/features", "uv.lock")


@dataclass(frozen=True)
class Address:
    """Where a running home answers."""

    url: str
    user: str
    password: str


class EmbeddedAirflow:
    """One home's PostgreSQL and Airflow.

    Parameters
    ----------
    settings : Settings
        Its home and port are used.
    say : callable
        Takes a line of progress.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.home = settings.home
        self.say = say
        self.postgres = EmbeddedPostgres(self.home)
        self.processes = ProcessTable(self.home)
        self._run_file = self.home / "run" / "up.json"
        self._lifeline: subprocess.Popen[bytes] | None = None
        self._port_claim: IO[str] | None = None
        self._has_started = False

    def address(self) -> Address:
        """Return where this home answers, or answered last."""
        url = json.loads(self._run_file.read_text())["url"]
        return Address(url, USER, read_password(self.home))

    def start(self) -> Address:
        """Start everything and return where it answers.

        Raises
        ------
        RefusedError
            If this home is up already, or the configured port is busy.
        MlopsError
            If a part does not come up; what was started is stopped again.
        """
        if self.processes.alive(SUPERVISOR) is not None:
            raise RefusedError(
                f"{self.home} is up already; stop it with make down, or set MLOPS_HOME to another folder"
            )
        with self._locked():
            self._stop_parts()
            port = self._choose_port()
            run_id = uuid.uuid4().hex
            url = f"http://127.0.0.1:{port}"
            self._run_file.write_text(json.dumps({"url": url, "port": port, "run_id": run_id}))
            self.processes.add(SUPERVISOR, os.getpid())
            self._has_started = True
        self._start_guardian(run_id)
        try:
            return self._start_parts(port, url, run_id)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what this object started, Airflow first, PostgreSQL last; a home that another command runs stays up."""
        if self._has_started:
            self._stop_home()
            self._has_started = False

    def _stop_home(self) -> None:
        with self._locked():
            self._stop_parts()
        if self._lifeline is not None:
            self._lifeline.kill()
            self._lifeline.wait()
            self._lifeline = None
        if self._port_claim is not None:
            self._port_claim.close()
            self._port_claim = None

    def stop_run(self, run_id: str) -> None:
        """Stop everything of that start, unless the home has been started anew since."""
        with self._locked():
            if self.run_id() == run_id:
                self._stop_parts()

    def _stop_parts(self) -> None:
        self.processes.stop(self.run_id())
        self.postgres.stop()

    def stop_from_outside(self) -> bool:
        """Stop this home whoever started it; say whether anything was running."""
        supervisor = self.processes.alive(SUPERVISOR)
        was_up = supervisor is not None or self.postgres.pid() is not None
        if supervisor is not None:
            os.kill(supervisor.pid, signal.SIGTERM)
            deadline = time.monotonic() + _DOWN_TIMEOUT_S
            while supervisor.is_alive() and time.monotonic() < deadline:
                time.sleep(0.2)
        self._stop_home()
        return was_up

    def wait(self) -> None:
        """Return when a part of Airflow has ended.

        Raises
        ------
        MlopsError
            Always: none of them ends by itself; the message names the log.
        """
        names = ("api-server", "scheduler", "dag-processor", "triggerer")
        while True:
            for name in names:
                if self.processes.alive(name) is None:
                    raise MlopsError(f"the {name} has ended; its log is {self.home / 'logs' / name}.log")
            time.sleep(1)

    def _start_parts(self, port: int, url: str, run_id: str) -> Address:
        env = {**airflow_environment(self.settings, port), RUN_ID_VARIABLE: run_id}
        started = time.monotonic()
        self.postgres.start()
        self.postgres.create_databases(DATABASES)
        self.say(f"PostgreSQL is up ({time.monotonic() - started:.0f} s)")
        self._write_local_settings()
        self._deploy(env)
        self._airflow("api-server", env, "--host", "127.0.0.1", "--port", str(port))
        self._until_healthy(url)
        self._airflow("scheduler", env, "--skip-serve-logs")
        self._airflow("dag-processor", env)
        self._airflow("triggerer", env, "--skip-serve-logs")
        api = AirflowApi(url, read_password(self.home))
        for name, (slots, description) in POOLS.items():
            api.ensure_pool(name, slots, description)
        self.say(f"Airflow is up ({time.monotonic() - started:.0f} s)")
        return self.address()

    def _airflow(self, component: str, env: dict[str, str], *arguments: str) -> None:
        self.processes.spawn(component, [sys.executable, "-m", "airflow", component, *arguments], env)

    def _deploy(self, env: dict[str, str]) -> None:
        stamp = self.home / "run" / "deployed"
        current = self._fingerprint()
        if stamp.exists() and stamp.read_text() == current:
            return
        self.say("preparing the databases of Airflow, MLflow, Feast and our state (once, about a minute)")
        steps = {
            "deploy-airflow": [sys.executable, "-m", "airflow", "db", "migrate"],
            "deploy-state": [sys.executable, "-m", "include.embedded.deploy"],
        }
        running = {name: self.processes.spawn(name, argv, env) for name, argv in steps.items()}
        for name, process in running.items():
            if code := process.wait():
                log = self.home / "logs" / f"{name}.log"
                raise MlopsError(f"{name} failed (exit {code}); its last words: {_tail(log)}; the whole log is {log}")
        stamp.write_text(current)

    def _until_healthy(self, url: str) -> None:
        api = AirflowApi(url, "")
        deadline = time.monotonic() + _HEALTHY_TIMEOUT_S
        log = self.home / "logs" / "api-server.log"
        while not api.is_healthy():
            if self.processes.alive("api-server") is None:
                raise MlopsError(f"the API server ended at once; its last words: {_tail(log)}; the log is {log}")
            if time.monotonic() > deadline:
                raise MlopsError(f"the API server is not healthy after {_HEALTHY_TIMEOUT_S} s; its log is {log}")
            time.sleep(0.3)

    def _start_guardian(self, run_id: str) -> None:
        # It holds the other end of a pipe: when this process dies in whatever way, the pipe closes.
        self._lifeline = subprocess.Popen(
            [sys.executable, "-m", "include.embedded.guardian", str(self.home), run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
            start_new_session=True,
        )

    def _write_local_settings(self) -> None:
        folder = self.home / "airflow" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        source = Path(__file__).with_name("airflow_local_settings.py")
        (folder / source.name).write_text(source.read_text())

    def _choose_port(self) -> int:
        if self.settings.port is not None:
            if not self._reserve(self.settings.port):
                raise RefusedError(
                    f"port {self.settings.port} of 127.0.0.1 is busy; set MLOPS_PORT to a free one, or leave it unset"
                )
            return self.settings.port
        last = json.loads(self._run_file.read_text())["port"] if self._run_file.exists() else DEFAULT_PORT
        return next(port for port in chain((last, DEFAULT_PORT), iter(_free_port, None)) if self._reserve(port))

    def _reserve(self, port: int) -> bool:
        """Keep a port for this start: the server binds it seconds later, and another home may start meanwhile."""
        try:
            claim = (Path(gettempdir()) / f"mlops-port-{port}.lock").open("a")
        except PermissionError:
            return False
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            return False
        if not _is_free(port):
            claim.close()
            return False
        self._port_claim = claim
        return True

    def owns_home(self) -> bool:
        """Say whether the home was made by this class."""
        return self._run_file.exists()

    def _fingerprint(self) -> str:
        """Return what the deploy step depends on: the code, and which databases there are."""
        settings = self.settings
        urls = (
            settings.database_url,
            settings.feast_registry_url,
            settings.feast_online_url,
            settings.mlflow_tracking_uri,
        )
        born = (self.postgres.data_dir / "PG_VERSION").stat().st_mtime_ns
        return hashlib.sha256(repr((_code_digest(), urls, born)).encode()).hexdigest()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep a start and a stop of this home apart, across processes."""
        self._run_file.parent.mkdir(parents=True, exist_ok=True)
        with (self._run_file.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def run_id(self) -> str | None:
        """Return the mark that all processes of the present or last start carry."""
        return json.loads(self._run_file.read_text())["run_id"] if self._run_file.exists() else None


def _is_free(port: int) -> bool:
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


def _code_digest() -> str:
    """Return a digest of the code that the deploy step runs and of what it declares."""
    sha = hashlib.sha256()
    for name in _DEPLOYED_BY:
        root = PROJECT_ROOT / name
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in (".py", ".yaml", ".sql"))
        for path in files:
            sha.update(path.read_bytes())
    return sha.hexdigest()


def _tail(log: Path, lines: int = 3) -> str:
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:]) if log.exists() else "none"
