"""Airflow's REST API as a person with a login uses it.

What belongs here: the calls that the start-up, the demo and the end-to-end tests make. What does
not: what they mean.
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import httpx

from include.errors import MlopsError

USER = "admin"
_ANSWER_TIMEOUT_S = 180


class AirflowApi:
    """A logged-in client of the API server.

    Parameters
    ----------
    address : str
        ``http://127.0.0.1:<port>``.
    password : str
    user : str
        Who logs in with it.
    """

    def __init__(self, address: str, password: str, *, user: str = USER) -> None:
        self.address = address
        self._user = user
        self._password = password
        self._client = httpx.Client(base_url=address, timeout=60)

    def request(self, method: str, path: str, body: dict[str, Any] | None = None, **params: Any) -> Any:
        """Call ``/api/v2<path>`` and return its JSON; log in where there is no valid token.

        Raises
        ------
        MlopsError
            If the server can't be reached or answers with an error.
        """
        for attempt in range(4):
            if "Authorization" not in self._client.headers:
                self._log_in()
            try:
                answer = self._client.request(method, f"/api/v2{path}", json=body, params=params or None)
            except httpx.HTTPError as err:
                if method == "GET" and attempt < 3:
                    time.sleep(1)
                    continue
                raise MlopsError(f"Airflow at {self.address} did not answer {method} {path}: {err}") from err
            if answer.status_code == 401:
                del self._client.headers["Authorization"]
                continue
            if answer.is_error:
                raise MlopsError(f"Airflow said {answer.status_code} to {method} {path}: {answer.text[:300]}")
            return answer.json() if answer.content else None
        raise MlopsError(f"Airflow at {self.address} refuses the login {self._user}; see {method} {path}")

    def page(self, path: str) -> tuple[int, str]:
        """Open a page beside the API, logged in, and return its status and HTML."""
        self.request("GET", "/version")
        answer = self._client.get(path)
        return answer.status_code, answer.text

    def is_healthy(self) -> bool:
        """Say whether the API server answers."""
        try:
            return self._client.get("/api/v2/version", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def heard_of(self, part: str) -> datetime | None:
        """Return when a part of Airflow last gave a sign of life; None where nobody can say."""
        name = part.replace("-", "_")
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=5)
            told = answer.json().get(name, {}).get(f"latest_{name}_heartbeat") if answer.is_success else None
        except (httpx.HTTPError, ValueError):
            return None
        return datetime.fromisoformat(told) if told else None

    def ensure_pool(self, name: str, slots: int, description: str) -> None:
        """Create the pool, or set its slots."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        known = {pool["name"] for pool in self.request("GET", "/pools")["pools"]}
        if name in known:
            self.request("PATCH", f"/pools/{name}", body)
        else:
            self.request("POST", "/pools", body)

    def unpause(self, dag_id: str, *, paused: bool = False) -> None:
        """Let the DAG run, or pause it."""
        self.request("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def trigger(self, dag_id: str, *, partition: str | None = None, conf: dict[str, Any] | None = None) -> str:
        """Start a run and return its id."""
        body = {"logical_date": None, "partition_key": partition, "conf": conf or {}}
        return str(self.request("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, start: str, end: str, *, reprocess: str = "none") -> int:
        """Start a backfill of the partitions `start` to `end` and return its id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{start}T00:00:00Z",
            "to_date": f"{end}T23:59:59Z",
            "reprocess_behavior": reprocess,
            "max_active_runs": 16,
            "run_on_latest_version": True,
        }
        return int(self.request("POST", "/backfills", body)["id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the DAG's runs, oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.request("GET", f"/dags/{dag_id}/dagRuns", limit=100, offset=len(found), order_by="run_after")
            found += page["dag_runs"]
            if len(found) >= page["total_entries"] or not page["dag_runs"]:
                return found

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        found = self.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return list(found["task_instances"])

    def waiting_approvals(self) -> list[dict[str, Any]]:
        """Return the task instances that wait for a person."""
        found = self.request("GET", "/dags/~/dagRuns/~/hitlDetails", response_received=False)
        return [d for d in found["hitl_details"] if d["task_instance"]["state"] in ("awaiting_input", "deferred")]

    def answer(self, approval: dict[str, Any], option: str, *, reason: str = "") -> None:
        """Answer an approval and see it taken.

        Raises
        ------
        MlopsError
            If the task has not ended after three minutes.
        """
        task = approval["task_instance"]
        path = f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
        body = {"chosen_options": [option], "params_input": {"reason": reason}}
        self.request("PATCH", f"{path}/{task['map_index']}/hitlDetails", body)
        deadline = time.monotonic() + _ANSWER_TIMEOUT_S
        while time.monotonic() < deadline:
            time.sleep(1)
            if self.request("GET", path)["state"] in ("success", "failed", "skipped"):
                return
        raise MlopsError(f"the answer {option!r} to {task['task_id']} of {task['dag_id']} was not taken; see {path}")

    def _log_in(self) -> None:
        try:
            answer = self._client.post("/auth/token", json={"username": self._user, "password": self._password})
        except httpx.HTTPError as err:
            raise MlopsError(f"Airflow at {self.address} did not answer: {err}; is it up? (make up)") from err
        if answer.is_error:
            raise MlopsError(f"Airflow at {self.address} refused the login {self._user}: {answer.text[:200]}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
