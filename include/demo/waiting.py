"""Waiting for what Airflow does: runs that are started and end, and how much memory all of it takes meanwhile.

What belongs here: starting runs, waiting for their end, asking what is open. What does not: which runs, and in what
order (``play``, ``play_model``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from include.embedded.api import AirflowApi
from include.embedded.postgres import EmbeddedPostgres
from include.embedded.processes import ProcessTable
from include.errors import MlopsError

POLL_S = 0.5
_MEMORY_EVERY_S = 5.0
_STEP_TIMEOUT_S = 900
_ENDED = ("success", "failed")


class Waiting:
    """Waits for a home's Airflow.

    Attributes
    ----------
    peak_pss_mb : float
        The most memory that all processes of the home took together while it waited, in MB.
    """

    def __init__(self, home: Path, api: AirflowApi) -> None:
        self.api = api
        self.peak_pss_mb = 0.0
        self._processes = ProcessTable(home)
        self._postgres = EmbeddedPostgres(home)
        self._measured_at = 0.0

    def run_all(self, partition: str | None, *dag_ids: str) -> None:
        """Start a run of each DAG, side by side, and wait until all have succeeded."""
        self.have_ended({dag_id: self.api.trigger(dag_id, partition=partition) for dag_id in dag_ids})

    def have_ended(self, runs: Mapping[str, str]) -> None:
        """Wait until runs, one of each DAG, have succeeded.

        Raises
        ------
        MlopsError
            If one failed, or has not ended in fifteen minutes.
        """
        for dag_id, run_id in runs.items():
            self.until(partial(self._has_ended, dag_id, run_id), f"run {run_id} of {dag_id} did not end")

    def until(self, is_true: Callable[[], bool], otherwise: str) -> None:
        """Wait until something is true; what is said otherwise is an error after fifteen minutes."""
        deadline = time.monotonic() + _STEP_TIMEOUT_S
        while not is_true():
            if time.monotonic() > deadline:
                raise MlopsError(f"{otherwise} within {_STEP_TIMEOUT_S} s; look at {self.api.address}")
            self.pause()

    def pause(self) -> None:
        """Let half a second pass, in which memory is added up now and then."""
        if time.monotonic() - self._measured_at > _MEMORY_EVERY_S:
            self._measured_at = time.monotonic()
            self.peak_pss_mb = max(self.peak_pss_mb, self._processes.pss_mb(self._postgres.pid() or 0))
        time.sleep(POLL_S)

    def is_open(self, dag_id: str, run_id: str) -> bool:
        """Say whether a run has not ended."""
        return self.api.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"] not in _ENDED

    def open_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG that have not ended."""
        return [run for run in self.api.runs(dag_id) if run["state"] not in _ENDED]

    def questions(self, dag_id: str) -> list[dict[str, Any]]:
        """Return what a DAG asks a person and nobody has answered."""
        return [a for a in self.api.waiting_approvals() if a["task_instance"]["dag_id"] == dag_id]

    def failed(self, dag_id: str, run_id: str) -> MlopsError:
        """Return the error of a run that failed."""
        return MlopsError(f"run {run_id} of {dag_id} failed; look at {self.api.address}/dags/{dag_id}/runs/{run_id}")

    def _has_ended(self, dag_id: str, run_id: str) -> bool:
        state = self.api.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
        if state == "failed":
            raise self.failed(dag_id, run_id)
        return bool(state == "success")
