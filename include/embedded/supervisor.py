"""The embedded default, started and kept up: PostgreSQL, then Airflow, and a guardian that outlives us.

What belongs here: the order of starting, and which parts there are. What does not: what the processes do, when one is
started again (`watch`), and how a home is stopped (`home`).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from include.embedded.api import AirflowApi
from include.embedded.databases import create_databases
from include.embedded.environment import airflow_environment, owner_environment
from include.embedded.home import Address, EmbeddedHome, make_home
from include.embedded.logins import first_admin, read_password, write_passwords
from include.embedded.parts import POSTGRES, SERVER, make_parts
from include.embedded.ports import PortClaim
from include.embedded.processes import RUN_ID_VARIABLE, SUPERVISOR, open_log
from include.embedded.watch import Watch
from include.errors import MlopsError, RefusedError, UsageError
from include.home import HomeSettings, settings_file, write_private
from include.settings import PROJECT_ROOT, Settings

_HEALTHY_TIMEOUT_S = 180
_LOOK_EVERY_S = 0.5
# name → slots; airflow_settings.yaml says the same to Astro.
POOLS = {"feature_store": (1, "writers to Feast's registry"), "training": (1, "model fitting")}
_DEPLOYED_BY = ("feature_repo", "include/adapters", "include/config/features", "uv.lock")


class EmbeddedAirflow(EmbeddedHome):
    """One home's PostgreSQL and Airflow, started by us.

    Parameters
    ----------
    settings : Settings
        Its home, port, users and overlay are used.
    say : callable
        Takes a line of progress.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        super().__init__(settings.home)
        self.settings = settings
        self.say = say
        self._port = PortClaim()
        self._lifeline: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._is_stopping = threading.Event()
        self._failure: MlopsError | None = None
        self._has_started = False

    def start(self) -> Address:
        """Start everything, keep it up from then on, and return where it answers.

        Raises
        ------
        RefusedError
            If this home is up already, or the configured port is busy.
        UsageError
            If the overlay of specs is not there, or the home can't be one.
        MlopsError
            If a part does not come up; what was started is stopped again.
        """
        self._open_home()
        with self._locked():
            if self.processes.alive(SUPERVISOR) is not None:
                raise RefusedError(
                    f"{self.home} is up already; stop it with make down, or set MLOPS_HOME to another folder"
                )
            self._stop_parts()
            write_passwords(self.home, self.settings.users)
            last = self._last_run()["port"] if self._run_file.exists() else None
            port, run_id = self._port.take(self.settings.port, last=last), uuid.uuid4().hex
            url, user = f"http://127.0.0.1:{port}", first_admin(self.settings.users)
            write_private(self._run_file, json.dumps({"url": url, "port": port, "run_id": run_id, "user": user}))
            self.processes.add(SUPERVISOR, os.getpid())
            self._has_started, self._failure = True, None
        self._start_guardian(run_id)
        try:
            self._start_parts(port, url, run_id)
        except BaseException:
            self.stop()
            raise
        return self.address()

    def stop(self) -> None:
        """Stop what this object started, Airflow first, PostgreSQL last; a home that another command runs stays up."""
        if not self._has_started:
            return
        self._is_stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        with self._locked():
            self._stop_parts()
        if self._lifeline is not None:
            self._lifeline.kill()
            self._lifeline.wait()
            self._lifeline = None
        self._port.let_go()
        self._has_started = False

    def wait(self) -> None:
        """Return never, while the parts are kept up.

        Raises
        ------
        MlopsError
            When a part has ended so often that everything was stopped; the message names it and its log.
        """
        while self._watcher is not None and self._watcher.is_alive():
            self._watcher.join(1)
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise why everything was stopped, where a part could not be kept up."""
        if self._failure is not None:
            raise self._failure

    def _open_home(self) -> None:
        overlay = self.settings.specs_overlay
        if overlay is not None and not overlay.is_dir():
            raise UsageError(
                f"the overlay of specs {str(overlay)!r} is not a folder; put it back, or correct what names it: "
                f"MLOPS_SPECS, or {settings_file(self.home)}"
            )
        make_home(self.home, HomeSettings(overlay))
        if overlay is None:
            self.say("specs: include/config/models as they ship")
        else:
            shown = overlay.relative_to(PROJECT_ROOT) if overlay.is_relative_to(PROJECT_ROOT) else overlay
            self.say(f"specs: {shown} is laid over include/config/models")

    def _start_parts(self, port: int, url: str, run_id: str) -> None:
        env = {**airflow_environment(self.settings, port), RUN_ID_VARIABLE: run_id}
        parts = make_parts(self, env, AirflowApi(url, ""))
        postgres, server, *others = parts
        started = time.monotonic()
        self.postgres.initialise()
        running = {POSTGRES: postgres.start()}
        self.postgres.wait_until_ready(running[POSTGRES])
        create_databases(self.home)
        self.say(f"PostgreSQL is up ({time.monotonic() - started:.0f} s)")
        self._write_local_settings()
        self._deploy(env)
        running[SERVER] = server.start()
        self._until_healthy(url)
        running |= {part.name: part.start() for part in others}
        user = first_admin(self.settings.users)
        api = AirflowApi(url, read_password(self.home, user), user=user)
        for name, (slots, description) in POOLS.items():
            api.ensure_pool(name, slots, description)
        self._start_watch(Watch(parts, running, self._tell), run_id)
        self.say(f"Airflow is up ({time.monotonic() - started:.0f} s)")

    def _start_watch(self, watch: Watch, run_id: str) -> None:
        def keep_up() -> None:
            try:
                while not self._is_stopping.wait(_LOOK_EVERY_S):
                    watch.look()
                    if self._lifeline is not None and self._lifeline.poll() is not None:
                        self._start_guardian(run_id)
                        self._tell("the guardian ended; another one keeps watch")
            except Exception as err:
                # In a thread nobody would hear of it.
                self._failure = err if isinstance(err, MlopsError) else MlopsError(f"the watch broke: {err!r}")
                self._tell(str(self._failure))
                with self._locked():
                    self._stop_parts()

        self._is_stopping.clear()
        self._watcher = threading.Thread(target=keep_up, name="watch", daemon=True)
        self._watcher.start()

    def _tell(self, line: str) -> None:
        """Tell of a part, to the person and in a log."""
        # A terminal that is gone and a full disk are no reasons to end the watch.
        with suppress(OSError):
            self.say(line)
        with suppress(OSError), open_log(self.processes.log(SUPERVISOR)) as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n".encode())

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
        as_owner = {**env, **owner_environment(self.settings)}
        running = {name: self.processes.spawn(name, argv, as_owner) for name, argv in steps.items()}
        for name, process in running.items():
            if code := process.wait():
                log = self.processes.log(name)
                raise MlopsError(f"{name} failed (exit {code}); its last words: {_tail(log)}; the whole log is {log}")
        write_private(stamp, current)

    def _until_healthy(self, url: str) -> None:
        api = AirflowApi(url, "")
        deadline = time.monotonic() + _HEALTHY_TIMEOUT_S
        log = self.processes.log(SERVER)
        while not api.is_healthy():
            if self.processes.alive(SERVER) is None:
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

    def _fingerprint(self) -> str:
        """Return what the deploy step depends on: the code, and which databases there are."""
        settings = self.settings
        urls = (
            settings.database_url,
            settings.state_owner_url,
            settings.feast_registry_url,
            settings.feast_online_url,
            settings.mlflow_tracking_uri,
        )
        born = (self.postgres.data_dir / "PG_VERSION").stat().st_mtime_ns
        return hashlib.sha256(repr((_code_digest(), urls, born)).encode()).hexdigest()


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
