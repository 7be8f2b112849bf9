"""The embedded default as a person starts and loses it: ports, killed terminals, another home, a second start."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from include.embedded.api import AirflowApi
from include.embedded.home import make_home
from include.embedded.logins import passwords_file, read_password
from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import ProcessTable
from include.home import HomeSettings
from tests import commands
from tests.homes import processes_of, secrets_of

pytestmark = pytest.mark.timeout(500)


class Up:
    """`mlops up` in a process of its own, with its home."""

    def __init__(self, home: Path, **env: str) -> None:
        self.home = home
        self.said = ""
        self.sessions: set[int] = set()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_", "AIRFLOW"))}
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", "from include.cli.main import main; main()", "up"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**kept, "MLOPS_HOME": str(home), **env},
            start_new_session=True,
        )

    def api(self) -> AirflowApi:
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "stops everything" in line:
                break
        address = re.search(r"Airflow\s+(http://127\.0\.0\.1:\d+)", self.said)
        assert address is not None, self.said
        self.sessions = {record.pid for record in ProcessTable(self.home).records()}
        return AirflowApi(address.group(1), read_password(self.home))

    def members(self) -> list[psutil.Process]:
        return processes_of(self.home, self.sessions)

    def gone(self, api: AirflowApi) -> bool:
        port = int(api.address.rsplit(":", 1)[1])
        with socket.socket() as probe:
            closed = probe.connect_ex(("127.0.0.1", port)) != 0
        return closed and not self.members() and not ProcessTable(self.home).records()


def until(is_true, timeout_s=120) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


@pytest.mark.parametrize("variable", ["MLOPS_PORT", "MLOPS_SERVING_PORT"])
def test_a_busy_port_is_a_clear_error_and_leaves_nothing(tmp_path, variable):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        up = Up(tmp_path / "home", **{variable: port})
        said, _ = up.process.communicate(timeout=180)
    assert up.process.returncode == 2
    assert f"port {port} of 127.0.0.1 is busy; set {variable}" in said
    assert "specs: include/config/models as they ship" in said
    assert not up.members()
    assert not passwords_file(up.home).exists()


@pytest.mark.parametrize("made_with", [None, "another"], ids=["a new home", "one with another overlay"])
def test_an_overlay_that_is_not_there_or_not_the_homes_stops_the_start(tmp_path, made_with):
    home, overlay = tmp_path / "home", tmp_path / "overlay"
    if made_with is not None:
        make_home(home, HomeSettings(tmp_path / made_with))
        overlay.mkdir()
    up = Up(home, MLOPS_SPECS=str(overlay))
    said, _ = up.process.communicate(timeout=180)
    assert up.process.returncode == 2
    told = f"but {home} was made with {tmp_path / 'another'}" if made_with else f"{str(overlay)!r} is not a folder"
    assert told in said
    assert "Traceback" not in said
    assert not (home / "postgres").exists()


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Let a port of 127.0.0.1 be somebody else's, as it may be already."""
    with socket.socket() as taken:
        # As a server binds it: also where connections of one that has ended are still closing.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            taken.bind(("127.0.0.1", port))
            taken.listen()
        yield


@pytest.fixture(scope="module")
def one(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A start beside another home that is up, where the usual port is somebody else's."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "overlay").mkdir()
    with occupied(8080):
        up = Up(folder / "home", MLOPS_USERS="admin:admin,ada:user", MLOPS_SPECS=str(folder / "overlay"))
        try:
            yield up
        finally:
            up.process.kill()


@pytest.fixture(scope="module")
def api(one: Up) -> AirflowApi:
    return one.api()


def is_laid_over(one: Up) -> str:
    return f"specs: {one.home.parent / 'overlay'} is laid over include/config/models"


@pytest.mark.thorough
def test_another_port_and_the_overlay_are_told_and_no_secret(one, api):
    assert not api.address.endswith(":8080")
    assert is_laid_over(one) in one.said
    assert [name for name, secret in secrets_of(one.home).items() if secret in one.said] == []
    api.request("POST", "/variables", {"key": "kept", "value": "yes"})


@pytest.mark.thorough
def test_a_second_start_is_told_that_it_is_up(one, api):
    second = Up(one.home)
    said, _ = second.process.communicate(timeout=180)
    assert (second.process.returncode, "is up already" in said) == (1, True)
    assert api.is_healthy()


@pytest.mark.thorough
def test_a_killed_terminal_leaves_no_process_and_another_home_alone(home, one, api):
    other, before = EmbeddedPostgres(home), EmbeddedPostgres(home).pid()
    (guardian,) = [p for p in one.members() if "include.embedded.guardian" in p.cmdline()]
    guardian.kill()
    told = one.home / "logs" / "supervisor.log"
    assert until(lambda: told.exists() and "the guardian ended" in told.read_text(), 10)
    one.process.kill()
    assert until(lambda: one.gone(api)), one.members()
    assert (other.is_ready(), other.pid()) == (True, before)


@pytest.mark.thorough
def test_it_starts_again_behind_a_command_and_goes_down(home, one):
    other, before = EmbeddedPostgres(home), EmbeddedPostgres(home).pid()
    with commands.at_work(commands.environment(one.home)) as command:
        again = Up(one.home)
        said = again.process.stdout.readline() + again.process.stdout.readline()
        printed, _ = command.communicate("\n", timeout=60)
    try:
        assert is_laid_over(one) in said
        assert ("waiting for the end of the commands" in said, printed) == (True, "0\n")
        api = again.api()
        beside = commands.start(commands.environment(one.home), "registry", "verify", "--json")
        printed, told = beside.communicate(timeout=180)
        assert (beside.returncode, json.loads(printed)["ok"]) == (0, True), told
        assert api.request("GET", "/variables/kept")["value"] == "yes"

        down = subprocess.run(
            [sys.executable, "-c", "from include.cli.main import main; main()", "down"],
            env={**os.environ, "MLOPS_HOME": str(one.home), "MLOPS_SPECS": "/not/there"},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert "is down" in down.stdout
        assert until(lambda: again.gone(api), 10), again.members()
        assert (other.is_ready(), other.pid()) == (True, before)
    finally:
        again.process.kill()
