"""Real processes under the watch: killed, ended, never up, short of what they need."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from include.embedded.watch import MOST_ENDS, WINDOW_S, Part, Watch
from include.errors import MlopsError

LOG = Path("/home/logs")


class Home:
    """Parts that sleep, a clock that is set by hand, and what was told."""

    def __init__(self, *needs: tuple[str, tuple[str, ...]], lives: dict[str, object] | None = None) -> None:
        self.now = 1000.0
        self.told: list[str] = []
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.exit_with: dict[str, int] = {}
        self.refuses: dict[str, Exception] = {}
        self.slow: set[str] = set()
        self.lives = lives or {}
        parts = [
            Part(
                name,
                LOG / f"{name}.log",
                lambda name=name: self.start(name),
                lambda since, name=name: name not in self.slow,
                needed,
                life=lambda name=name: self.lives.get(name),
            )
            for name, needed in needs
        ]
        for name, _ in needs:
            self.start(name)
        self.watch = Watch(parts, self.running, self.told.append, clock=lambda: self.now)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        if name in self.refuses:
            raise self.refuses[name]
        code = self.exit_with.get(name)
        script = "import time; time.sleep(600)" if code is None else f"raise SystemExit({code})"
        self.running[name] = subprocess.Popen([sys.executable, "-S", "-c", script])
        return self.running[name]

    def end(self, name: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.running[name].pid, number)
        self.running[name].wait()

    def exit(self, name: str, code: int) -> None:
        """Put a process that ends by itself in the part's place, as if it had been it."""
        self.end(name)
        self.watch._parts[name].process = ended = subprocess.Popen(
            [sys.executable, "-S", "-c", f"raise SystemExit({code})"]
        )
        ended.wait()

    def look(self, *, after_s: float = 0.0) -> list[str]:
        self.now += after_s
        before = len(self.told)
        self.watch.look()
        return self.told[before:]


@pytest.fixture
def home():
    made: list[Home] = []

    def make(*needs: tuple[str, tuple[str, ...]], **lives: object) -> Home:
        made.append(Home(*needs, lives=lives))
        return made[-1]

    yield make
    for each in made:
        for process in each.running.values():
            process.kill()
            process.wait()


BASE, UPON = ("PostgreSQL", ()), ("scheduler", ("PostgreSQL",))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
@pytest.mark.parametrize("name", ["PostgreSQL", "scheduler"])
def test_a_part_that_is_killed_is_back_and_both_are_told(home, name, number):
    at = home(BASE, UPON)
    first = at.running[name].pid
    at.end(name, number)
    assert at.look() == [
        f"{name} ended (signal {int(number)}, {number.name}); it is started again now. Its log is {LOG / name}.log"
    ]
    assert at.look() == []
    assert at.running[name].pid != first
    assert at.look(after_s=3) == [f"{name} is back (3 s)"]
    assert at.running[name].poll() is None


def test_parts_that_run_are_left_alone(home):
    at = home(BASE, UPON)
    pids = {name: process.pid for name, process in at.running.items()}
    for _ in range(20):
        assert at.look(after_s=60) == []
    assert {name: process.pid for name, process in at.running.items()} == pids


@pytest.mark.parametrize("code", [0, 1, 2, 137])
def test_a_part_that_ends_by_itself_is_told_with_its_exit_code(home, code):
    at = home(BASE, UPON)
    at.exit("scheduler", code)
    assert at.look()[0].startswith(f"scheduler ended (exit code {code}); it is started again now")


def test_the_pauses_grow_and_have_a_bound(home):
    at = home(BASE)
    pauses = []
    for _ in range(MOST_ENDS):
        at.end("PostgreSQL")
        (told,) = at.look()
        pauses.append(float(found[1]) if (found := re.search(r"again in (\d+) s", told)) else 0.0)
        assert at.look(after_s=pauses[-1] - 0.1 if pauses[-1] else 0) == []
        at.look(after_s=0.1)
        at.look()
    assert pauses == [0, 1, 2, 4, 8]


def test_a_part_that_ends_too_often_is_given_up_by_name_with_its_log(home):
    at = home(BASE, UPON)
    for _ in range(MOST_ENDS):
        at.end("scheduler")
        at.look()
        at.look(after_s=30)
        at.look()
    at.end("scheduler")
    with pytest.raises(
        MlopsError,
        match=r"^scheduler ended \(signal 9, SIGKILL\), the 6th time within 150 s; .*/home/logs/scheduler.log",
    ):
        at.look()


def test_ends_that_are_long_past_do_not_count(home):
    at = home(BASE)
    for _ in range(3 * MOST_ENDS):
        at.end("PostgreSQL")
        assert at.look()[0].endswith("it is started again now. Its log is /home/logs/PostgreSQL.log")
        at.look()
        at.look()
        at.now += WINDOW_S


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), MlopsError("initdb is gone")])
def test_a_part_that_can_not_be_started_is_tried_again_and_given_up_with_the_reason(home, problem):
    at = home(BASE)
    at.end("PostgreSQL")
    at.refuses["PostgreSQL"] = problem
    at.look()
    for _ in range(MOST_ENDS - 1):
        assert f"PostgreSQL can't be started ({problem}); it is started again" in at.look(after_s=30)[0]
    with pytest.raises(MlopsError, match=rf"can't be started .*{problem.args[-1]}.*, the 6th time within 150 s"):
        at.look(after_s=30)


def test_a_part_that_never_comes_up_is_ended_and_counts(home):
    at = home(BASE)
    at.slow.add("PostgreSQL")
    at.end("PostgreSQL")
    at.look()
    at.look()
    assert at.look(after_s=100) == []
    assert at.look(after_s=100) == ["PostgreSQL has not come up within 180 s; it is ended"]
    at.running["PostgreSQL"].wait()
    assert "PostgreSQL ended (signal 9, SIGKILL)" in at.look()[0]


def test_who_fails_for_want_of_another_is_not_named_as_the_one_that_failed(home):
    at = home(BASE, UPON)
    at.end("PostgreSQL")
    at.exit("scheduler", 1)
    lost, after = at.look()
    assert lost.startswith("PostgreSQL ended (signal 9, SIGKILL)")
    assert after == "scheduler ended (exit code 1) for want of PostgreSQL; it is started again after it"


def test_who_needs_another_waits_until_it_is_back(home):
    at = home(BASE, UPON)
    at.slow.add("PostgreSQL")
    at.end("PostgreSQL")
    at.exit("scheduler", 1)
    at.look()
    ended = at.running["scheduler"].pid
    at.look(after_s=20)
    at.look(after_s=20)
    assert at.running["scheduler"].pid == ended
    at.slow.clear()
    assert at.look() == ["PostgreSQL is back (20 s)"]
    assert at.look(after_s=1) == ["scheduler is back (1 s)"]


def test_a_part_is_given_up_for_its_own_ends_only(home):
    at = home(BASE, UPON)
    for _ in range(3):
        at.end("PostgreSQL")
        for _ in range(3):
            at.exit("scheduler", 1)
            at.look()
            at.look(after_s=10)
            at.look()
            at.look()
    assert sum("for want of PostgreSQL" in line for line in at.told) == 9 > MOST_ENDS


def test_who_is_killed_while_another_is_gone_is_named_itself(home):
    at = home(BASE, UPON)
    at.end("PostgreSQL")
    at.end("scheduler")
    assert [line.split(";")[0] for line in at.look()] == [
        "PostgreSQL ended (signal 9, SIGKILL)",
        "scheduler ended (signal 9, SIGKILL)",
    ]


def test_a_part_that_renews_itself_is_told_and_explains_who_fails_of_it(home):
    at = home(BASE, UPON, PostgreSQL=1)
    assert at.look() == []
    at.lives["PostgreSQL"] = 2
    at.exit("scheduler", 1)
    assert at.look() == [
        f"PostgreSQL lost a process of its own and recovers; its log is {LOG / 'PostgreSQL.log'}",
        "scheduler ended (exit code 1) for want of PostgreSQL; it is started again after it",
    ]


def test_a_life_that_can_not_be_told_for_a_moment_is_no_renewal(home):
    at = home(BASE, PostgreSQL=1)
    for seen in (None, 1, None, 1):
        at.lives["PostgreSQL"] = seen
        assert at.look() == []
