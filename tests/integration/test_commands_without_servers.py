"""Commands on a home whose PostgreSQL is down: each starts it for its own time, shares it, and leaves no process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from include.embedded.home import EmbeddedHome
from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import SUPERVISOR, ProcessTable
from include.specs.yaml_files import laid_over
from tests import commands
from tests.everyday import members
from tests.shop import FIRST_DAY, make_orders, on_days, write_overlay

pytestmark = pytest.mark.timeout(300)

TRAINED = "2026-04-14"
LEDGER = ("registry", "ledger", "--model", "churn", "--json")
EMPTY = {"model": "churn", "at": None, "production": None, "moves": []}


class Home(EmbeddedHome):
    """A home that nobody has started anything of, and the commands of a person on it."""

    def __init__(self, home: Path, **env: str) -> None:
        super().__init__(home)
        self.env = commands.environment(home, **env)

    def run(self, *asked: Sequence[str]) -> list[str]:
        """Run commands at the same time and return what each printed; they leave nothing else, and no process."""
        running = [commands.start(self.env, *words) for words in asked]
        ended = [process.communicate(timeout=120) for process in running]
        assert [(process.returncode, told) for process, (_, told) in zip(running, ended, strict=True)] == [
            (0, "") for _ in asked
        ]
        assert self.processes_left() == []
        return [printed for printed, _ in ended]

    def processes_left(self) -> list[str]:
        """Return the command lines of the server, of its children, and of whatever else was started of this home."""
        found = []
        for process in psutil.process_iter():
            try:
                line = " ".join(process.cmdline())
                if str(self.home) in line or process.cwd().startswith(str(self.home)):
                    found.append(line)
            except (psutil.Error, FileNotFoundError):
                continue
        return found


def until(is_true: Callable[[], object], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that has a database cluster already, made by two first commands at once."""
    folder = tmp_path_factory.mktemp("alone")
    made = Home(folder / "home", MLOPS_SPECS=str(write_overlay(folder / "overlay")))
    try:
        printed = made.run(LEDGER, LEDGER)
        assert [json.loads(each) for each in printed] == [EMPTY, EMPTY]
        yield made
    finally:
        made.stop_from_outside()


def test_a_home_that_a_command_has_made_is_closed_as_any(home):
    modes = {path: path.stat().st_mode & 0o777 for path in (home.home, *home.home.rglob("*"))}
    assert len(modes) > 100
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


@pytest.fixture(scope="module")
def shop(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home with the orders of a history, that a command has imported."""
    orders = tmp_path_factory.mktemp("shop") / "orders.parquet"
    pq.write_table(on_days(make_orders(days=109), FIRST_DAY, TRAINED), orders)
    [account] = home.run(("orders", "import", str(orders), "--format", "canonical", "--json"))
    assert json.loads(account)["rows_published"] == pq.read_metadata(orders).num_rows
    return home


def test_what_a_command_leaves_is_there_for_the_next_two_at_once(shop):
    built, ledger = shop.run(("features", "build", "--group", "customer_daily", "--date", TRAINED), LEDGER)
    assert int(re.search(r"(\d+) rows", built)[1]) > 100
    assert json.loads(ledger)["moves"] == []


@pytest.mark.thorough
def test_from_orders_to_the_ledger_without_a_server_and_in_two_shells_at_once(shop, tmp_path):
    home, out = shop, tmp_path / "features.parquet"
    group, model = ("--group", "customer_daily"), ("--model", "churn")
    home.run(("features", "build", *group, "--date", FIRST_DAY, "--end", TRAINED))
    examples, _ = home.run(
        ("training-set", "build", *model, "--as-of", TRAINED),
        ("features", "export", *group, "--date", TRAINED, "--out", str(out)),
    )
    assert pq.read_metadata(out).num_rows > 100
    [trained] = home.run(("train", *model, "--as-of", TRAINED))
    assert json.loads(trained)["version"] == 1
    assert json.loads(trained)["model_id"] == json.loads(examples)["model_id"] == "churn"
    ledger, found = home.run(LEDGER, ("registry", "verify", "--json"))
    assert [(move["version"], move["to"]) for move in json.loads(ledger)["moves"]] == [(1, "Staging")]
    assert json.loads(found)["ok"]
    # A refusal names the file, the value, and what is done about it; done, the same version stands again.
    overlay = Path(home.env["MLOPS_SPECS"]) / "churn.yaml"
    measured = overlay.read_text()
    overlay.write_text(yaml.safe_dump(laid_over(yaml.safe_load(measured), {"gates": {"auc_min": 0.999}}, overlay)))
    refusal = commands.start(home.env, "train", *model, "--as-of", TRAINED)
    _, told = refusal.communicate(timeout=120)
    overlay.write_text(measured)
    assert (refusal.returncode, told.count("\n")) == (1, 1)
    assert f"the gates of {overlay} hold: gates.auc_min=0.999" in told
    home.run(("train", *model, "--as-of", TRAINED))


@pytest.mark.parametrize(
    "number",
    members([signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], daily=[signal.SIGINT, signal.SIGKILL]),
    ids=lambda number: number.name,
)
def test_a_command_that_is_ended_leaves_no_process(home, number):
    with commands.at_work(home.env) as command:
        assert home.postgres.is_ready()
        command.send_signal(number)
        command.wait(20)
        assert until(lambda: not home.processes_left()), home.processes_left()


def test_what_was_killed_with_its_guardian_is_used_and_stopped_by_the_next_command(home):
    with commands.at_work(home.env) as command:
        [guardian] = [
            child for child in psutil.Process(command.pid).children() if "guardian" in " ".join(child.cmdline())
        ]
        guardian.kill()
        command.kill()
        command.wait(20)
    assert home.postgres.is_ready()
    home.run(LEDGER)


@pytest.mark.parametrize(
    "number", members([signal.SIGINT, signal.SIGKILL], daily=[signal.SIGKILL]), ids=lambda number: number.name
)
def test_who_shares_the_server_goes_on_when_the_one_who_started_it_is_ended(home, number):
    with commands.at_work(home.env) as first, commands.at_work(home.env) as second:
        server = home.postgres.pid()
        first.send_signal(number)
        first.wait(20)
        # Longer than a guardian takes.
        time.sleep(1)
        assert home.postgres.pid() == server
        printed, told = second.communicate("\n", timeout=20)
        assert (printed.strip().isdigit(), told) == (True, "")
    assert until(lambda: not home.processes_left()), home.processes_left()


def test_a_command_beside_a_home_that_is_up_uses_its_server_and_leaves_it(home):
    home.postgres.start()
    home.processes.add(SUPERVISOR, os.getpid())
    try:
        server = home.postgres.pid()
        for process in [commands.start(home.env, *LEDGER), commands.start(home.env, *LEDGER)]:
            printed, told = process.communicate(timeout=180)
            assert (process.returncode, told, json.loads(printed)["model"]) == (0, "", "churn")
        assert home.postgres.pid() == server
        assert home.postgres.is_ready()
    finally:
        home.processes.path.unlink()
        home.postgres.stop()


def test_a_start_that_was_killed_is_cleaned_up_and_its_server_used(home):
    """Its supervisor is dead, and its guardian too."""
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    part = subprocess.Popen(["sleep", "300"], start_new_session=True)
    home.processes.add(SUPERVISOR, dead.pid)
    home.processes.add("scheduler", part.pid)
    dead.kill()
    dead.wait()
    home.postgres.start()
    home.run(LEDGER)
    assert part.wait(5) == -signal.SIGTERM
    assert ProcessTable(home.home).records() == []


@pytest.mark.parametrize(
    "moment",
    members(["postgres.new", "postgres/postmaster.pid", "logs/deploy-state.log"], daily=["logs/deploy-state.log"]),
)
def test_a_first_command_that_is_killed_half_way_is_made_good_by_the_next(tmp_path, moment):
    home = Home(tmp_path / "home")
    try:
        first = commands.start(home.env, *LEDGER)
        assert until((home.home / moment).exists)
        first.kill()
        first.communicate()
        [printed] = home.run(LEDGER)
        assert json.loads(printed) == EMPTY
    finally:
        EmbeddedPostgres(home.home).stop()


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("features", "build", "--help"), ("models", "list"), ("drift", "report", "ORDERS")],
    ids=" ".join,
)
def test_what_needs_no_database_starts_none(tmp_path, arguments):
    orders = tmp_path / "orders.parquet"
    pq.write_table(make_orders(days=3), orders)
    compared = ["--reference", str(orders), "--current", str(orders), "--columns", "quantity"]
    home = Home(tmp_path / "home")
    process = commands.start(home.env, *(arguments if arguments[-1] != "ORDERS" else [*arguments[:-1], *compared]))
    _, told = process.communicate(timeout=180)
    assert (process.returncode, told) == (0, "")
    assert not home.home.exists()
