"""What a part leaves behind when it is killed: in its session, and in one of its own."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.embedded.processes import RUN_ID_VARIABLE, ProcessTable

# A child in the part's session, and one that left it as Airflow's tasks do.
LEADER = """
import subprocess, sys, time
sleeper = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
children = [subprocess.Popen(sleeper), subprocess.Popen(sleeper, start_new_session=True)]
print(*(child.pid for child in children), flush=True)
time.sleep(600)
"""


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ProcessTable]:
    made = ProcessTable(tmp_path)
    yield made
    for name in ("scheduler", "triggerer"):
        made.sweep(name, "run")


def spawn(table: ProcessTable, name: str) -> tuple[int, list[int]]:
    process = table.spawn(name, [sys.executable, "-S", "-c", LEADER], {**os.environ, RUN_ID_VARIABLE: "run"})
    deadline = time.monotonic() + 30
    while not (said := table.log(name).read_text()).endswith("\n"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process.pid, [int(pid) for pid in said.split()]


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_what_a_killed_part_left_is_gone_and_the_others_go_on(table):
    leader, left = spawn(table, "scheduler")
    other, others = spawn(table, "triggerer")
    os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    assert all(map(runs, left))
    table.sweep("scheduler", "run")
    assert not any(map(runs, left))
    assert all(map(runs, [other, *others]))
    assert [record.name for record in table.records()] == ["triggerer"]


def test_a_part_of_another_start_is_left_alone(table):
    _, left = spawn(table, "scheduler")
    table._write([])
    table.sweep("scheduler", "another run")
    assert all(map(runs, left))


def test_what_a_part_writes_is_its_owners_alone(table):
    table.log("api-server").parent.mkdir()
    table.log("api-server").touch(mode=0o644)
    script = "open('made', 'w').close(); import os; os.mkdir('folder')"
    table.spawn("api-server", [sys.executable, "-S", "-c", script], dict(os.environ)).wait(30)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in table.home.rglob("*")}
    assert modes["made"] == modes["api-server.log"] == modes["processes.json"] == 0o600
    assert modes["folder"] == 0o700
