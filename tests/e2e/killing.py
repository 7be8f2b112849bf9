"""A night that is on its way while every part of its home is killed in turn.

What belongs here: killing, and waiting until what was killed is told to be back. What does not: a claim.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import ProcessTable
from include.errors import MlopsError
from include.settings import embedded_database_url
from tests.e2e.loop import NIGHT, Loop
from tests.e2e.watched import drop_file
from tests.shop import deliver

INGEST, BUILD, SCORE, MONITOR = CHAIN = (
    "ingest_orders",
    "materialize_features__customer_daily",
    "score_batch__churn",
    "monitor_model__churn",
)
BACK_WITHIN_S = 120
_AT_WORK_WITHIN_S = 240


@dataclass
class Killed:
    """A night during which parts died.

    Attributes
    ----------
    loop : Loop
    away_s : dict of str to float
        How long each part was away.
    tries_of_build : int
        How often the task was tried that ran as the scheduler was killed.
    states : dict of str to list of str
        How the night's runs ended, by DAG.
    """

    loop: Loop
    away_s: dict[str, float] = field(default_factory=dict)
    tries_of_build: int = 0
    states: dict[str, list[str]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The home's folder."""
        return self.loop.deployment.settings.home

    def told(self) -> str:
        """Return what the watch has told."""
        log = self.home / "logs" / "supervisor.log"
        return log.read_text() if log.exists() else ""

    def pid(self, part: str) -> int:
        """Return the process id of a part that runs."""
        if part == "PostgreSQL":
            pid = EmbeddedPostgres(self.home).pid()
            assert pid is not None, "PostgreSQL is not up"
            return pid
        return next(r.pid for r in ProcessTable(self.home).records() if r.name == part and r.is_alive())

    def kill(self, *parts: str) -> None:
        """Kill parts, and wait until each is told to be back and Airflow answers out of its database."""
        before, started = len(self.told()), time.monotonic()
        for part in parts:
            os.kill(self.pid(part), signal.SIGKILL)

        def all_are_back() -> bool:
            told = self.told()[before:]
            for part in parts:
                if f"{part} is back" in told:
                    self.away_s.setdefault(part, time.monotonic() - started)
            return set(parts) <= set(self.away_s)

        self.loop.until(all_are_back, f"the return of {parts}", BACK_WITHIN_S)
        self.loop.until(self.answers, "an answer of the API server", BACK_WITHIN_S)

    @contextmanager
    def nothing_recorded(self) -> Iterator[None]:
        """Keep tasks from recording what they have published: one that does so is at work until this ends."""
        database = make_url(self.loop.deployment.settings.database_url).database
        owner = embedded_database_url(self.home, str(database), role="postgres").replace("+psycopg", "")
        with psycopg.connect(owner) as connection:
            connection.execute("LOCK TABLE publication IN SHARE MODE")
            yield
            connection.rollback()

    def answers(self) -> bool:
        """Say whether Airflow answers out of its database."""
        try:
            return bool(self.loop.api.runs(INGEST))
        except MlopsError:
            return False

    def run(self, dag_id: str) -> str:
        """Wait for the night's run of a DAG and return its id."""
        self.loop.until(lambda: bool(self.runs(dag_id)), f"a run of {dag_id} for {NIGHT}")
        return str(self.runs(dag_id)[0]["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, str]]:
        """Return the night's runs of a DAG."""
        return [r for r in self.loop.api.runs(dag_id) if r["partition_key"] == NIGHT]

    def at_work(self, dag_id: str, run_id: str, task_id: str, state: str = "running") -> None:
        """Wait until a task of the run is in that state; what is short is looked at often."""
        deadline = time.monotonic() + _AT_WORK_WITHIN_S
        while (task_id, state) not in [(t["task_id"], t["state"]) for t in self.loop.api.tasks(dag_id, run_id)]:
            assert time.monotonic() < deadline, f"{task_id} of {dag_id} was not {state}"
            time.sleep(0.1)


def play(loop: Loop) -> Killed:
    """Have a night ingested, built, scored, measured and decided while every part dies once."""
    at = Killed(loop)
    for dag_id in (INGEST, BUILD):
        loop.runs[dag_id] = loop.api.trigger(dag_id, partition=NIGHT)
    at.at_work(INGEST, loop.runs[INGEST], "wait_for_delivery", "deferred")
    drop_file(loop)
    at.kill("triggerer", "dag-processor", "serving")
    drop_file(loop)
    deliver(at.home / "landing", loop.orders, NIGHT)
    loop.ended(INGEST, loop.runs[INGEST])

    at.at_work(BUILD, loop.runs[BUILD], "wait_for_raw", "success")
    with at.nothing_recorded():
        at.at_work(BUILD, loop.runs[BUILD], "build")
        at.kill("scheduler")
    loop.ended(BUILD, loop.runs[BUILD])
    tries = {t["task_id"]: t["try_number"] for t in loop.api.tasks(BUILD, loop.runs[BUILD])}
    at.tries_of_build = tries["build"]

    run_id = at.run(SCORE)
    at.kill("api-server")
    loop.ended(SCORE, run_id)
    at.run(MONITOR)
    at.kill("PostgreSQL")
    loop.monitored([NIGHT], 1)
    at.states = {dag_id: [run["state"] for run in at.runs(dag_id)] for dag_id in CHAIN}
    return at
