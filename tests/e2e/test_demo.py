"""`mlops demo` as a person runs it: it asks, is killed in the middle of a night, goes on, and reports what is true."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import httpx
import psutil
import pytest

from include.adapters.deployment import Deployment
from include.embedded.api import AirflowApi
from include.embedded.logins import read_password
from include.embedded.supervisor import EmbeddedAirflow
from include.settings import PROJECT_ROOT, Settings
from tests.browser import chromium, watch
from tests.e2e.loop import SELDOM_PARSED

pytestmark = pytest.mark.timeout(900)

NIGHTS = ["2026-03-14", "2026-03-15", "2026-03-16"]
REASON = "I looked at its gates"


def demo(home: Path, *options: str, **env: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_", "AIRFLOW"))}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", "from include.cli.main import main; main()", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**kept, **SELDOM_PARSED, "MLOPS_HOME": str(home), **env},
        start_new_session=True,
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    said = ""
    for line in process.stdout or ():
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended with {process.wait()} before it said {words!r}:\n{said}")


@dataclass
class Shown:
    """What a demo said, in three parts, and the home it left."""

    home: Path
    asked: str = ""
    killed: str = ""
    resumed: str = ""
    approval_page: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    exit_code: int | None = None


def approve(home: Path) -> None:
    address = EmbeddedAirflow(settings_of(home), say=print).address()
    api = AirflowApi(address.url, read_password(home))
    (question,) = api.waiting_approvals()
    api.answer(question, "Approve", reason=REASON)


def settings_of(home: Path) -> Settings:
    return Settings.from_env({"MLOPS_HOME": str(home)})


def answer_of(address: str) -> int:
    if address.startswith("file://"):
        return 200 if Path(url2pathname(urlparse(address).path)).is_file() else 404
    return httpx.get(address, follow_redirects=True, timeout=30).status_code


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    home = tmp_path_factory.mktemp("demo") / "home"
    seen = Shown(home)
    first = demo(home, "--nights", str(len(NIGHTS)))
    again: subprocess.Popen[str] | None = None
    try:
        seen.asked = read_until(first, "waits for your answer")
        seen.approval_page = answer_of(re.findall(r"http://\S+", seen.asked)[-1])
        approve(home)
        seen.killed = read_until(first, f"night {NIGHTS[0]}: hold")
        time.sleep(4)  # into the middle of the second night
        first.kill()
        assert first.wait(10) == -signal.SIGKILL
        until_gone(home)
        again = demo(home, "--nights", str(len(NIGHTS)), "--keep")
        seen.resumed = read_until(again, "stays up")
        seen.answers = {url: answer_of(url) for url in re.findall(r"(?:http|file)://[^\s;]+", seen.resumed)}
        again.send_signal(signal.SIGINT)
        seen.exit_code = again.wait(90)
        yield seen
    finally:
        for process in filter(None, (first, again)):
            process.kill()
        EmbeddedAirflow(settings_of(home), say=print).stop_from_outside()


def until_gone(home: Path) -> None:
    deadline = time.monotonic() + 60
    while any(str(home) in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "the killed demo left processes"
        time.sleep(0.3)


@pytest.fixture(scope="module")
def deployment(shown: Shown) -> Iterator[Deployment]:
    """The home's tables, with PostgreSQL up again."""
    airflow = EmbeddedAirflow(settings_of(shown.home), say=print)
    airflow.postgres.start()
    try:
        yield Deployment(airflow.settings)
    finally:
        airflow.postgres.stop()


def test_it_waits_for_a_person_at_a_page_that_answers(shown):
    assert "Promote churn-predictor version 1 to Production?" in shown.asked
    assert shown.approval_page == 200
    assert "approved by the demo" not in shown.killed


def test_killed_in_the_middle_of_a_night_it_goes_on_and_ends_well(shown):
    assert "going on with an earlier run" in shown.resumed
    assert f"night {NIGHTS[-1]}: hold" in shown.resumed
    assert f"night {NIGHTS[0]}: hold" not in shown.resumed
    assert shown.exit_code == 0


def test_every_address_that_it_prints_answers(shown):
    assert len(shown.answers) >= 2
    assert set(shown.answers.values()) == {200}, shown.answers


def test_nothing_was_done_twice(shown, deployment):
    moves = [(m.version, m.to_stage.value, m.reason) for m in deployment.state.ledger("churn")]
    assert [(version, stage) for version, stage, _ in moves] == [(1, "Staging"), (1, "Production")]
    assert moves[-1][2] == REASON
    assert [d.partition for d in deployment.state.decisions("churn") if d.acted] == ["2026-02-28"]
    assert deployment.lake.partitions("predictions/churn") == NIGHTS


def test_other_arguments_in_the_same_home_are_refused(shown):
    other = demo(shown.home, "--nights", "5")
    said, _ = other.communicate(timeout=60)
    assert other.returncode == 1
    assert "holds a demo of a simulated shop, seed 7" in said
    assert "--fresh" in said
    assert "Traceback" not in said


def test_the_home_keeps_the_demos_overlay_and_refuses_another(shown, tmp_path):
    overlay = PROJECT_ROOT / "include" / "config" / "overlays" / "simulator"
    told = f"specs: {overlay.relative_to(PROJECT_ROOT)} is laid over include/config/models"
    assert (told in shown.asked, told in shown.resumed) == (True, True)
    assert settings_of(shown.home).specs_overlay == overlay
    other = demo(shown.home, MLOPS_SPECS=str(tmp_path))
    said, _ = other.communicate(timeout=60)
    assert other.returncode == 2
    assert f"{shown.home} was made with {overlay}" in said


def test_the_report_opens_in_a_browser_without_an_error(shown):
    with chromium() as browser:
        page = browser.new_page()
        wrong = watch(page)
        page.goto((shown.home / "demo" / "report.html").as_uri())
        page.wait_for_load_state("networkidle")
        assert page.title() == f"churn: report of a demo of {len(NIGHTS)} nights"
    assert wrong == []


class Page(HTMLParser):
    """The numbers of a report: {(table, key, field): value}, and each decision's attributes by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: dict[tuple[str, str, str], str] = {}
        self.decisions: dict[str, dict[str, str | None]] = {}
        self._row = ("", "")
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if "data-table" in found:
            self._row = (found["data-table"] or "", found.get("data-key") or "")
            if self._row[0] == "decisions":
                self.decisions[self._row[1]] = found
        if tag == "data" and "data-field" in found:
            self.numbers[(*self._row, found["data-field"] or "")] = found["value"] or ""


@pytest.fixture(scope="module")
def page(shown: Shown) -> Page:
    return Page((shown.home / "demo" / "report.html").read_text())


def test_the_reports_decisions_are_those_of_the_table(page, deployment):
    recorded = {
        str(d.decision_id): (d.partition, d.action, str(d.acted).lower()) for d in deployment.state.decisions("churn")
    }
    shown = {k: (v["data-partition"], v["data-action"], v["data-acted"]) for k, v in page.decisions.items()}
    assert shown == recorded


def test_the_reports_drift_is_that_of_the_table(page, deployment):
    nights = {night["partition"]: night for night in deployment.state.nights("churn", until=NIGHTS[-1])}
    measured = {
        ("psi", f"{d['feature']}/{night}", "psi"): d["psi"] for night, row in nights.items() for d in row["drift"]
    }
    shown = {key: float(value) for key, value in page.numbers.items() if key[0] == "psi" and key[2] == "psi"}
    assert len(shown) == len(measured) == 13 * len(NIGHTS)
    assert shown == pytest.approx(measured, abs=0)


def test_the_reports_rows_are_those_of_the_lake(page, deployment):
    lake = deployment.lake
    assert int(page.numbers["tables", "raw/orders", "rows"]) == lake.dataset("raw/orders").count_rows()
    assert int(page.numbers["tables", "predictions/churn", "rows"]) == lake.dataset("predictions/churn").count_rows()
    deliveries = lake.read("deliveries/orders").to_pylist()
    for night in NIGHTS:
        delivered = sum(row["rows_in"] for row in deliveries if row["delivered"] == night)
        assert int(page.numbers["rows", night, "delivered"]) == delivered
        assert int(page.numbers["rows", night, "unaccounted"]) == 0


def test_the_reports_gates_are_those_of_the_ledger(page, deployment):
    (staged,) = [m for m in deployment.state.ledger("churn") if m.to_stage == "Staging"]
    for gate in staged.evidence.gates:
        if gate.value is not None:
            assert float(page.numbers["gates", f"1/{gate.gate}", "value"]) == gate.value
