from __future__ import annotations

import pytest
import yaml

from include.errors import SpecError
from include.settings import PROJECT_ROOT
from include.specs import models as specs


def overlay(tmp_path, values):
    (tmp_path / "churn.yaml").write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return tmp_path


def load(folder):
    return specs._load_model.__wrapped__("churn", folder)


def test_the_shipped_specs_load_and_carry_the_required_gate():
    spec = specs._load_model.__wrapped__("churn", None)
    assert spec.gates.auc_min == 0.85
    assert spec.gates.latency_p99_ms_max == 50


def test_the_overlay_of_the_real_log_changes_two_values_and_nothing_else():
    plain = specs._load_model.__wrapped__("churn", None)
    laid = load(PROJECT_ROOT / "include" / "config" / "overlays" / "online_retail")
    assert (laid.gates.auc_min, laid.monitoring.quarantined_max) == (0.70, 0.9)
    assert laid.model_copy(update={"gates": plain.gates, "monitoring": plain.monitoring}) == plain
    assert laid.monitoring.model_copy(update={"quarantined_max": plain.monitoring.quarantined_max}) == plain.monitoring
    assert laid.gates.model_copy(update={"auc_min": plain.gates.auc_min}) == plain.gates


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param(
            {"gates": {"auc_mim": 0.8}},
            r"churn.yaml: unknown key 'gates.auc_mim'; allowed: auc_min, .*did you mean 'auc_min'",
            id="unknown key",
        ),
        pytest.param(
            {"gates": {"auc_min": 1.7}}, r"churn.yaml: gates.auc_min=1.7: .*less than or equal to 1", id="bound"
        ),
        pytest.param({"training": {"seed": "x"}}, r"churn.yaml: training.seed='x': .*integer", id="type"),
        pytest.param({"decision": {"schedule": "daily"}}, r"'daily' is not a cron expression", id="cron"),
        *(
            pytest.param({"decision": {"schedule": f"0 0 {never} *"}}, rf"'0 0 {never} \*' never comes", id=never)
            for never in ("31 2", "30 2", "31 4,6", "31 4,6,9,11")
        ),
        pytest.param({"decision": {"schedule": "0 0 30 2 1#1"}}, r"(never comes|is not a cron)", id="no such weekday"),
        pytest.param({"decision": {"breaches": 9}}, r"breaches=9 can't be above windows=5", id="two values disagree"),
        pytest.param("gates: [", r"churn.yaml is not YAML", id="not YAML"),
        pytest.param("- a", r"churn.yaml must be a mapping", id="not a mapping"),
    ],
)
def test_a_wrong_value_is_named_with_file_key_and_what_is_allowed(tmp_path, values, message):
    with pytest.raises(SpecError, match=message):
        load(overlay(tmp_path, values))


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("gates", "latency_p99_ms_max"),
        ("gates", "auc_min"),
        ("monitoring", "psi_significant"),
        ("monitoring", "volume_ratio_max"),
        ("scoring", "decision_threshold"),
    ],
)
def test_a_number_that_bounds_nothing_is_no_threshold(tmp_path, section, key, number):
    with pytest.raises(SpecError, match=rf"churn.yaml: {section}.{key}=-?(inf|nan): "):
        load(overlay(tmp_path, f"{section}: {{{key}: {number}}}"))


def test_an_unknown_model_is_answered_with_the_known_ones():
    with pytest.raises(SpecError, match=r"no model 'churm'; known: churn, fraud, recommendation; did you mean 'churn'"):
        specs._load_model.__wrapped__("churm", None)


def test_an_overlay_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(SpecError, match=r"is not a folder of overlays; make it or put it back, or name another$"):
        load(tmp_path / "absent")


def test_specs_are_frozen():
    spec = specs._load_model.__wrapped__("churn", None)
    with pytest.raises(Exception, match="frozen"):
        spec.gates.auc_min = 0.1
