"""A look at the nights where the lake is not the one that they were written to."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.errors import MlopsError
from include.settings import Settings
from include.specs.models import load_model
from include.steps.find_missed import explain_unmonitored
from include.steps.night_status import read_night_status


def test_a_lake_without_what_features_were_built_from_is_no_lake_to_look_for_nights_in(tmp_path):
    settings = Settings.from_env({"MLOPS_HOME": str(tmp_path)})
    published = {"features/customer_daily": {"2026-03-01": 10}}
    state = SimpleNamespace(publications=lambda table: published.get(table, {}), ledger=lambda model_id: ())
    deployment = SimpleNamespace(settings=settings, state=state, lake=LakeAdapter(settings.lake_uri))
    with pytest.raises(
        MlopsError, match=r"holds no raw/orders, which features/customer_daily was built from; .*LAKE_URI"
    ):
        read_night_status(deployment)
    published.clear()
    assert read_night_status(deployment).holes == ()


@pytest.mark.parametrize(
    ("decided", "told"),
    [
        (True, "it was decided on, and its measurement is gone from the state; mlops nights repair makes up for it"),
        (False, "monitor_model__churn did not run on it, or failed; mlops nights repair makes up for it"),
    ],
    ids=["decided", "not decided"],
)
def test_a_measurement_that_a_decision_rests_on_is_gone_and_was_not_left_out(decided, told):
    assert explain_unmonitored(load_model("churn"), is_decided=decided) == told
