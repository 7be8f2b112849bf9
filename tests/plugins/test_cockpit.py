"""The page of a build's report: what was written is what is shown, and what is not there is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.adapters.deployment import Deployment
from include.adapters.lake.partition_reports import write_report
from include.features.partition_report import PartitionCheck, PartitionReport
from include.specs.groups import load_feature_group
from mlops.cockpit.app import show_quality

GROUP, DAY = "customer_daily", "2026-03-01"
BROKEN = PartitionCheck("bounds", "tenure_days", passed=False, failures=3, observed="-1 to 4", allowed="0 to 3")


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("MLOPS_LAKE_URI", (tmp_path / "lake").as_uri())
    made = Deployment.from_env()
    write_report(made.lake, PartitionReport(GROUP, "2026-02-28", DAY, 1204, (BROKEN,)))
    return made


def test_the_report_of_a_build_is_shown_with_what_its_group_says_of_itself(deployment):
    page = show_quality(GROUP, DAY)
    assert page.status_code == 200
    html = page.body.decode()
    assert "customer_daily, 2026-02-28 … 2026-03-01: refused" in html
    for shown in ("1204 rows", load_feature_group(GROUP).owner, "tenure_days", "-1 to 4", "0 to 3"):
        assert shown in html


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
