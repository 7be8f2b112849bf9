"""The cockpit's pages: what was written is what is shown, what is not there is told, and nobody sees it unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import unescape
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

from include.adapters.deployment import Deployment
from include.adapters.lake.partition_reports import write_report
from include.features.partition_report import PartitionCheck, PartitionReport
from include.specs.groups import load_feature_group
from mlops.cockpit import monitoring
from mlops.cockpit.access import require_model
from mlops.cockpit.app import app, show_quality

GROUP, DAY = "customer_daily", "2026-03-01"
BROKEN = PartitionCheck("bounds", "tenure_days", passed=False, failures=3, observed="-1 to 4", allowed="0 to 3")


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("MLOPS_LAKE_URI", (tmp_path / "lake").as_uri())
    made = Deployment.from_env()
    write_report(made.lake, PartitionReport(GROUP, "2026-02-28", DAY, 1204, (BROKEN,)))
    return made


def assert_sealed(headers: Mapping[str, str], html: str) -> None:
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|https?://|<script(?![^>]*\ssrc=)", html)


def test_the_report_of_a_build_is_shown_with_what_its_group_says_of_itself(deployment):
    page = show_quality(GROUP, DAY)
    assert page.status_code == 200
    html = page.body.decode()
    assert "customer_daily, 2026-02-28 … 2026-03-01: refused" in html
    for shown in ("1204 rows", load_feature_group(GROUP).owner, "tenure_days", "-1 to 4", "0 to 3"):
        assert shown in html
    assert_sealed(page.headers, html)


@pytest.mark.parametrize(
    ("group", "day", "told"),
    [
        (GROUP, "2026-03-02", "there is no quality report of customer_daily 2026-03-02"),
        ("customer_dialy", DAY, "there is no feature group"),
        (GROUP, "1 March", "1 March"),
    ],
    ids=["no report", "no group", "no day"],
)
def test_what_is_not_there_is_told(deployment, group, day, told):
    page = show_quality(group, day)
    assert page.status_code == 404
    assert told in page.body.decode()
    assert_sealed(page.headers, page.body.decode())


@pytest.mark.parametrize("kept", [b"", b"{}", b"[]", b'{"group": "cust', b"\xff", None], ids=repr)
def test_a_report_that_cannot_be_read_is_told_and_not_where_it_lies(deployment, kept):
    path = Path(deployment.lake.uri.removeprefix("file://")) / f"quality_reports/{GROUP}/{DAY}.json"
    if kept is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(kept)
    page = show_quality(GROUP, DAY)
    html = page.body.decode()
    assert page.status_code == 503
    assert "can&#39;t be read" in html
    assert str(path.parent) not in html
    assert_sealed(page.headers, html)


def test_a_report_that_is_not_there_does_not_tell_where_the_lake_is(deployment):
    assert deployment.lake.uri not in show_quality(GROUP, "2026-03-02").body.decode()


def _routes() -> list[str]:
    known = {"group": GROUP, "partition": DAY, "model_id": "churn", "name": "monitoring.js"}
    found = [route.path_format.format_map(known) for route in app.routes]
    assert len(found) >= 6
    return found


@pytest.mark.parametrize("path", _routes())
def test_no_page_answers_without_a_login_and_none_takes_anything_but_a_question(path):
    client = TestClient(app)
    assert client.get(path).status_code == 401
    assert {client.request(verb, path).status_code for verb in ("POST", "PUT", "PATCH", "DELETE")} == {405}


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Somebody whom Airflow lets read: who is let is asked of Airflow itself in ``test_monitoring_page``."""
    monkeypatch.setattr(monitoring, "may_read", lambda model_id, request, user: True)
    app.dependency_overrides = {get_user: lambda: None, require_model: lambda: None}
    yield TestClient(app, raise_server_exceptions=False)
    app.dependency_overrides = {}


@pytest.mark.parametrize("name", ["<b onload=alert(1)>", 'x" onload="alert(1)', "{{ 7 * 7 }}"])
def test_a_name_that_is_html_is_shown_as_it_is_written(reader, name):
    answer = reader.get(f"/monitoring/{quote(name)}", params={"until": name})
    assert answer.status_code == 200
    (shown,) = re.findall(r'<body data-model="([^"]*)">', answer.text)
    assert unescape(shown) == name
    assert f"Reading the nights of {shown} " in answer.text
    assert f'href="{quote(name)}/year.json?until={quote(name)}"' in answer.text


def test_a_page_lets_nothing_in_from_elsewhere_and_has_nothing_inline(reader):
    answer = reader.get("/monitoring/")
    assert "churn" in answer.text
    assert_sealed(answer.headers, answer.text)


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/monitoring/chrun/year.json", 404, "no model 'chrun' stands; did you mean 'churn'?"),
        ("/monitoring/churn/year.json?until=March", 404, "partition 'March' is not a day"),
        ("/monitoring/churn/nights/x.json", 404, "partition 'x' is not a day"),
        ("/monitoring/churn/year.json", 503, "can't be reached"),
    ],
)
def test_what_cannot_be_read_is_told_as_json(reader, monkeypatch, path, status, told):
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql+psycopg://nobody@/state?host=/nowhere")
    answer = reader.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert told in answer.json()["message"]


@pytest.mark.parametrize("path", ["/monitoring/", "/monitoring/churn"])
def test_settings_that_cannot_be_read_are_told_on_the_page_without_their_values(reader, monkeypatch, caplog, path):
    monkeypatch.setenv("MLOPS_LAKE_URI", "ftp://ada:secret@lake")
    answer = reader.get(path)
    assert (answer.status_code, "secret" in answer.text) == (503, False)
    assert "can&#39;t be read now" in answer.text
    assert_sealed(answer.headers, answer.text)
    assert "MLOPS_LAKE_URI" in caplog.text


def test_where_the_database_is_and_who_asks_it_stands_in_the_log_alone(reader, monkeypatch, caplog):
    monkeypatch.setenv("MLOPS_DATABASE_URL", "postgresql+psycopg://nobody@/state?host=/nowhere")
    told = reader.get("/monitoring/churn/year.json").json()["message"]
    assert "the log of the API server" in told
    assert [word for word in ("nobody", "/nowhere", "postgresql") if word in told] == []
    assert "/nowhere" in caplog.text


@pytest.mark.parametrize("name", ["app.py", "page.html.j2", "..%2F..%2Fmlops_plugin.py", "monitoring.py"])
def test_only_the_files_of_the_page_are_sent(reader, name):
    assert reader.get(f"/monitoring-files/{name}").status_code == 404


def _luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scale_is_read_without_seeing_colours_and_marks_stand_out_on_every_step(scheme):
    source = Path(monitoring.__file__).with_name("heat_map.js").read_text()
    (line,) = re.findall(rf"^  {scheme}: \{{.*$", source, re.MULTILINE)
    scale = re.findall(r"#[0-9a-f]{6}", line.partition("]")[0])
    dark, light = (re.findall(rf'on{on}: "(#\w+)"', line)[0] for on in ("Dark", "Light"))
    steps = [_luminance(colour) for colour in scale]
    assert len(scale) == 6
    assert steps == sorted(steps, reverse=scheme == "light")
    assert min(_contrast(*pair) for pair in pairwise(scale)) > 1.1
    # As colourOf chooses: the first three steps carry one colour, the others the other.
    assert min(_contrast(colour, light) for colour in scale[:3]) >= 3
    assert min(_contrast(colour, dark) for colour in scale[3:]) >= 3
