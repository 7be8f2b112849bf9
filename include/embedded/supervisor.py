"""The embedded default, started and kept up: PostgreSQL, then Airflow, and a guardian that outlives us.

What belongs here: the order of starting, and which parts there are. What does not: what the processes do, when one is
started again (`watch`), and how a home is stopped (`home`).
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from include.embedded.api import AirflowApi
from include.embedded.databases import create_databases
from include.embedded.environment import airflow_environment
from include.embedded.guardian import start_guardian
from include.embedded.home import Address, EmbeddedHome, open_home
from include.embedded.logins import first_admin, read_password, write_passwords
from include.embedded.parts import POSTGRES, SERVER, make_parts
from include.embedded.ports import PortClaim
from include.embedded.processes import RUN_ID_VARIABLE, SUPERVISOR, open_log
from include.embedded.upgrade import NAMES, Upgrade, tail
from include.embedded.watch import Part, Watch
from include.errors import MlopsError, RefusedError
from include.home import write_private
from include.settings import PROJECT_ROOT, SERVING_PORT, Settings

_HEALTHY_TIMEOUT_S = 180
_LOOK_EVERY_S = 0.5
# name → slots; airflow_settings.yaml says the same to Astro.
POOLS = {
    "feature_store": (3, "features that are built and brought online, each within its memory"),
    "training": (1, "model fitting"),
}


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
        self._port, self._serving_port = PortClaim(), PortClaim(SERVING_PORT)
        self._lifeline: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._is_stopping = threading.Event()
        self._failure: MlopsError | None = None
        self._has_started = False
        self._began = 0.0

    def start(self) -> Address:
        """Start everything, keep it up from then on, and return where it answers.

        Raises
        ------
        RefusedError
            If this home is up already.
        UsageError
            If a configured port is busy, the overlay of specs is not there, or the home can't be one.
        MlopsError
            If a part does not come up; what was started is stopped again.
        """
        self._open_home()
        try:
            with self._alone():
                env = self._begin()
                parts = make_parts(self, env, AirflowApi(env["AIRFLOW__API__BASE_URL"], ""))
                running = self._start_postgres(parts[0], env)
            self._start_airflow(parts, running, env)
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
        self._serving_port.let_go()
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
        open_home(self.settings)
        overlay = self.settings.specs_overlay
        if overlay is None:
            self.say("specs: include/config/models as they ship")
        else:
            shown = overlay.relative_to(PROJECT_ROOT) if overlay.is_relative_to(PROJECT_ROOT) else overlay
            self.say(f"specs: {shown} is laid over include/config/models")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from a home that is down, once no command uses its PostgreSQL any more."""
        is_told = False
        while True:
            # Before the lock too: who brings it up holds that for long.
            self._require_down()
            with self._locked():
                self._require_down()
                if not self._is_used():
                    yield
                    return
            if not is_told:
                self.say("waiting for the end of the commands that use this home's PostgreSQL")
                is_told = True
            time.sleep(_LOOK_EVERY_S)

    def _require_down(self) -> None:
        if self.processes.alive(SUPERVISOR) is not None:
            raise RefusedError(
                f"{self.home} is up already; stop it with make down, or set MLOPS_HOME to another folder"
            )

    def _begin(self) -> dict[str, str]:
        """Write down that this home is up by us, and return the environment of its parts."""
        self._began = time.monotonic()
        self._stop_parts()
        last = self._last_run() if self._run_file.exists() else {}
        port, run_id = self._port.take(self.settings.port, last=last.get("port")), uuid.uuid4().hex
        serving_port = self._serving_port.take(self.settings.serving_port, last=last.get("serving_port"))
        write_passwords(self.home, self.settings.users)
        env = {**airflow_environment(self.settings, port), RUN_ID_VARIABLE: run_id, SERVING_PORT: str(serving_port)}
        url, user = env["AIRFLOW__API__BASE_URL"], first_admin(self.settings.users)
        run = {"url": url, "port": port, "serving_port": serving_port, "run_id": run_id, "user": user}
        write_private(self._run_file, json.dumps(run))
        self.processes.add(SUPERVISOR, os.getpid())
        self._has_started, self._failure = True, None
        self._lifeline = start_guardian(self.home, run_id)
        return env

    def _start_postgres(self, part: Part, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start PostgreSQL with all that the code expects in it: a command beside us may use it from then on."""
        self.postgres.initialise()
        server = part.start()
        self.postgres.wait_until_ready(server)
        create_databases(self.home)
        self.say(f"PostgreSQL is up ({time.monotonic() - self._began:.0f} s)")
        self._write_local_settings()
        Upgrade(self, self.settings).bring(tuple(NAMES), env, self.say)
        return server

    def _start_airflow(self, parts: Sequence[Part], postgres: subprocess.Popen[bytes], env: Mapping[str, str]) -> None:
        url = env["AIRFLOW__API__BASE_URL"]
        running = {POSTGRES: postgres, SERVER: parts[1].start()}
        self._until_healthy(url)
        running |= {part.name: part.start() for part in parts[2:]}
        user = first_admin(self.settings.users)
        api = AirflowApi(url, read_password(self.home, user), user=user)
        for name, (slots, description) in POOLS.items():
            api.ensure_pool(name, slots, description)
        self._start_watch(Watch(parts, running, self._tell), env[RUN_ID_VARIABLE])
        self.say(f"Airflow is up ({time.monotonic() - self._began:.0f} s)")

    def _start_watch(self, watch: Watch, run_id: str) -> None:
        def keep_up() -> None:
            try:
                while not self._is_stopping.wait(_LOOK_EVERY_S):
                    watch.look()
                    if self._lifeline is not None and self._lifeline.poll() is not None:
                        self._lifeline = start_guardian(self.home, run_id)
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

    def _until_healthy(self, url: str) -> None:
        api = AirflowApi(url, "")
        deadline = time.monotonic() + _HEALTHY_TIMEOUT_S
        log = self.processes.log(SERVER)
        while not api.is_healthy():
            if self.processes.alive(SERVER) is None:
                raise MlopsError(f"the API server ended at once; its last words: {tail(log)}; the log is {log}")
            if time.monotonic() > deadline:
                raise MlopsError(f"the API server is not healthy after {_HEALTHY_TIMEOUT_S} s; its log is {log}")
            time.sleep(0.3)

    def _write_local_settings(self) -> None:
        folder = self.home / "airflow" / "config"
        folder.mkdir(parents=True, exist_ok=True)
        source = Path(__file__).with_name("airflow_local_settings.py")
        (folder / source.name).write_text(source.read_text())
