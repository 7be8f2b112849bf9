"""Why a night is missing, where what would say so is damaged itself."""

from __future__ import annotations

from types import SimpleNamespace

from include.adapters.lake.delta_lake import LakeAdapter
from include.settings import Settings
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.steps.find_missed import explain_offline, explain_unbuilt, explain_unmonitored

GROUP, NIGHT = "customer_daily", "2026-03-01"


def test_a_report_that_is_damaged_takes_down_no_look_at_the_nights(tmp_path, caplog):
    settings = Settings.from_env({"MLOPS_HOME": str(tmp_path)})
    state = SimpleNamespace(publications=lambda target: {})
    deployment = SimpleNamespace(settings=settings, state=state, lake=LakeAdapter(settings.lake_uri))
    report = tmp_path / "lake" / "quality_reports" / GROUP / f"{NIGHT}.json"
    report.parent.mkdir(parents=True)
    report.write_text('{"group": "cust')
    why = explain_unbuilt(deployment, load_feature_group(GROUP))
    assert why(NIGHT) == "its orders have not been delivered; have them delivered, then mlops nights repair"
    assert f"the quality report of {GROUP} {NIGHT}" in caplog.text


def test_what_makes_up_for_a_night_is_told_whatever_it_lacks():
    for why in (explain_unmonitored(load_model("churn")), explain_offline(load_feature_group(GROUP))):
        assert why.endswith("; mlops nights repair makes up for it")
