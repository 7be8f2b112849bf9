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
import pyarrow.compute as pc
import pytest

from include import partitions
from include.adapters.deployment import Deployment
from include.embedded.api import AirflowApi
from include.embedded.logins import read_password
from include.embedded.supervisor import EmbeddedAirflow
from include.settings import PROJECT_ROOT, Settings
from include.specs.models import load_model
from tests.browser import chromium, watch
from tests.e2e.loop import UNHURRIED
from tests.everyday import members

pytestmark = pytest.mark.timeout(1800)

REGISTERED = {"churn": "churn-predictor", "fraud": "fraud-detector", "recommendation": "recommendation-engine"}
PLAYS = {"a model and a night": (("fraud",), 1), "all models, killed in a night": (tuple(REGISTERED), 2)}
FIRST_NIGHT = "2026-03-14"
REASON = "I looked at its gates"
# A terminal's Ctrl-C ends it, also where whoever started the tests ignores that.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from include.cli.main import main
main()
"""
VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}


def demo(home: Path, *options: str, **env: str) -> subprocess.Popen[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_", "AIRFLOW"))}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", COMMAND, "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**kept, **UNHURRIED, "MLOPS_HOME": str(home), **env},
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
    """What a demo said up to its question, what each of its processes said, and the home it left."""

    home: Path
    models: tuple[str, ...]
    nights: list[str]
    was_killed: bool
    asked: str = ""
    said: list[str] = field(default_factory=list)
    approval_page: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    exit_code: int | None = None


def approve(home: Path, models: tuple[str, ...]) -> None:
    address = EmbeddedAirflow(settings_of(home), say=print).address()
    api = AirflowApi(address.url, read_password(home))
    answered: set[str] = set()
    deadline = time.monotonic() + 120
    while len(answered) < len(models):
        for question in api.waiting_approvals():
            api.answer(question, "Approve", reason=REASON)
            answered.add(question["task_instance"]["dag_id"])
        assert time.monotonic() < deadline, f"only {answered} asked"


def settings_of(home: Path) -> Settings:
    return Settings.from_env({"MLOPS_HOME": str(home)})


def answer_of(address: str) -> int:
    if address.startswith("file://"):
        return 200 if Path(url2pathname(urlparse(address).path)).is_file() else 404
    return httpx.get(address, follow_redirects=True, timeout=30).status_code


@pytest.fixture(scope="module", params=members(PLAYS, daily=["a model and a night"]))
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    home, (models, nights) = tmp_path_factory.mktemp("demo") / "home", PLAYS[request.param]
    last = partitions.shift(FIRST_NIGHT, nights - 1)
    seen = Shown(home, models, partitions.span(FIRST_NIGHT, last), was_killed="killed" in request.param)
    options = ["--nights", str(nights), "--keep", *(option for model in models for option in ("--model", model))]
    process = demo(home, *options)
    try:
        seen.asked = read_until(process, "waits for your answer")
        seen.approval_page = answer_of(re.findall(r"http://\S+", seen.asked)[-1])
        approve(home, models)
        seen.said = [seen.asked]
        if seen.was_killed:
            seen.said[0] += read_until(process, f"night {FIRST_NIGHT}: hold")
            time.sleep(4)  # into the middle of the second night
            process.kill()
            assert process.wait(10) == -signal.SIGKILL
            until_gone(home)
            process = demo(home, *options)
            seen.said.append("")
        seen.said[-1] += read_until(process, "stays up")
        seen.answers = {url: answer_of(url) for url in re.findall(r"(?:http|file)://[^\s;]+", seen.said[-1])}
        process.send_signal(signal.SIGINT)
        seen.exit_code = process.wait(180)
        yield seen
    finally:
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
    assert f"Promote {REGISTERED[shown.models[0]]} version 1 to Production?" in shown.asked
    assert shown.approval_page == 200
    assert "approved by the demo" not in "".join(shown.said)


def test_it_ends_well_and_goes_on_where_it_was_killed_in_the_middle_of_a_night(shown):
    assert f"night {shown.nights[-1]}: hold: {', '.join(shown.models)}" in shown.said[-1]
    assert "".join(shown.said).count(f"night {FIRST_NIGHT}: hold") == 1
    assert ("going on with an earlier run" in shown.said[-1]) == shown.was_killed
    assert shown.exit_code == 0


def test_every_address_that_it_prints_answers(shown):
    assert len(shown.answers) >= 2
    assert set(shown.answers.values()) == {200}, shown.answers


def test_nothing_was_done_twice(shown, deployment):
    for model_id in shown.models:
        moves = [(m.version, m.to_stage.value, m.reason) for m in deployment.state.ledger(model_id)]
        assert [(version, stage) for version, stage, _ in moves] == [(1, "Staging"), (1, "Production")]
        assert moves[-1][2] == REASON
        assert [d.partition for d in deployment.state.decisions(model_id) if d.acted] == ["2026-02-28"]
        assert deployment.lake.partitions(f"predictions/{model_id}") == shown.nights


def test_the_models_stand_in_production_under_their_registered_names(shown, deployment):
    for model_id in shown.models:
        assert load_model(model_id).registered_name == REGISTERED[model_id]
        assert deployment.model_registry.aliases(REGISTERED[model_id])["production"] == 1


def test_every_order_of_a_night_is_scored_once_and_every_list_is_whole(shown, deployment):
    for night in shown.nights:
        lines = deployment.lake.read("raw/orders", keys=[night])
        ordered = lines.filter(pc.equal(lines["kind"], "sale"))["order_id"].unique().to_pylist()
        scored = deployment.lake.read("predictions/fraud", keys=[night])["order_id"].to_pylist()
        assert sorted(scored) == sorted(ordered)
    for night in shown.nights if "recommendation" in shown.models else ():
        lists = deployment.lake.read("predictions/recommendation", keys=[night])
        places = lists.group_by("customer_id").aggregate([("rank", "max"), ("rank", "count_distinct")])
        assert places["rank_max"].to_pylist() == places["rank_count_distinct"].to_pylist()
        assert pc.sum(lists["decision"]).as_py() == 5 * len(lists["customer_id"].unique())


def test_other_arguments_in_the_same_home_are_refused(shown):
    other = demo(shown.home, "--nights", "5")
    said, _ = other.communicate(timeout=180)
    assert other.returncode == 1
    assert "holds a demo of a simulated shop, seed 7" in said
    assert "--fresh" in said
    assert "Traceback" not in said


def test_the_home_keeps_the_demos_overlay_and_refuses_another(shown, tmp_path):
    overlay = PROJECT_ROOT / "include" / "config" / "overlays" / "simulator"
    told = f"specs: {overlay.relative_to(PROJECT_ROOT)} is laid over include/config/models"
    assert [said for said in shown.said if told not in said] == []
    assert settings_of(shown.home).specs_overlay == overlay
    other = demo(shown.home, MLOPS_SPECS=str(tmp_path))
    said, _ = other.communicate(timeout=180)
    assert other.returncode == 2
    assert f"{shown.home} was made with {overlay}" in said


def test_the_report_opens_in_a_browser_without_an_error(shown):
    with chromium() as browser:
        page = browser.new_page()
        wrong = watch(page)
        page.goto((shown.home / "demo" / "report.html").as_uri())
        page.wait_for_load_state("networkidle")
        nights = {1: "1 night", 2: "2 nights"}[len(shown.nights)]
        assert page.title() == f"{', '.join(shown.models)}: report of a demo of {nights}"
    assert wrong == []


class Page(HTMLParser):
    """The numbers of a report: {(model, table, key, field): value}, and each decision's attributes by model and id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: dict[tuple[str, str, str, str], str] = {}
        self.decisions: dict[tuple[str, str], dict[str, str | None]] = {}
        self._row = ("", "")
        self._open: list[tuple[str, str]] = []
        self.feed(text)

    @property
    def _model(self) -> str:
        return next((model for _, model in reversed(self._open) if model), "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag not in VOID:
            self._open.append((tag, found.get("data-model") or ""))
        if "data-table" in found:
            self._row = (found["data-table"] or "", found.get("data-key") or "")
            if self._row[0] == "decisions":
                self.decisions[self._model, self._row[1]] = found
        if tag == "data" and "data-field" in found:
            self.numbers[(self._model, *self._row, found["data-field"] or "")] = found["value"] or ""

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass


@pytest.fixture(scope="module")
def page(shown: Shown) -> Page:
    return Page((shown.home / "demo" / "report.html").read_text())


def test_the_reports_decisions_are_those_of_the_table(shown, page, deployment):
    recorded = {
        (model, str(d.decision_id)): (d.partition, d.action, str(d.acted).lower())
        for model in shown.models
        for d in deployment.state.decisions(model)
    }
    told = {key: (v["data-partition"], v["data-action"], v["data-acted"]) for key, v in page.decisions.items()}
    assert told == recorded


def test_the_reports_drift_is_that_of_the_table(shown, page, deployment):
    measured = {
        (model, f"{d['feature']}/{night['partition']}"): d["psi"]
        for model in shown.models
        for night in deployment.state.nights(model, until=shown.nights[-1])
        for d in night["drift"]
        if d["psi"] is not None
    }
    told = {
        (model, key): float(value)
        for (model, table, key, field), value in page.numbers.items()
        if (table, field) == ("psi", "psi")
    }
    assert len(told) >= 9 * len(shown.nights) * len(shown.models)
    assert told == pytest.approx(measured, abs=0)


def test_the_reports_rows_are_those_of_the_lake(shown, page, deployment):
    lake = deployment.lake
    for table in ("raw/orders", *(f"predictions/{model_id}" for model_id in shown.models)):
        assert int(page.numbers["", "tables", table, "rows"]) == lake.dataset(table).count_rows()
    deliveries = lake.read("deliveries/orders").to_pylist()
    for night in shown.nights:
        delivered = sum(row["rows_in"] for row in deliveries if row["delivered"] == night)
        assert int(page.numbers["", "rows", night, "delivered"]) == delivered
        assert int(page.numbers["", "rows", night, "unaccounted"]) == 0


def test_the_reports_gates_are_those_of_the_ledger(shown, page, deployment):
    for model_id in shown.models:
        (staged,) = [m for m in deployment.state.ledger(model_id) if m.to_stage == "Staging"]
        for gate in staged.evidence.gates:
            if gate.value is not None:
                assert float(page.numbers[model_id, "gates", f"1/{gate.gate}", "value"]) == gate.value
