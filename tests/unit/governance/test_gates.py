"""Verdicts: nothing unknown passes, and every number is in the report."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest

from include.governance.gates import judge_auc, judge_latency, judge_manifest
from include.specs.models import GatesSpec
from include.training.manifest import TrainingSetManifest
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

GATES = GatesSpec(auc_min=0.7, latency_p99_ms_max=50)


def manifest() -> TrainingSetManifest:
    return make_manifest(make_spec(), make_examples(entities=5))


def incomplete(without: str, *, how: str) -> TrainingSetManifest:
    """The manifest as a version's file says it, without one of its fields."""
    stated = json.loads(manifest().to_json())
    holder, name = (stated["provenance"], without.split(".")[1]) if "." in without else (stated, without)
    del holder[name]
    if how == "null":
        holder[name] = None
    return TrainingSetManifest.from_incomplete_json(json.dumps(stated))


@pytest.mark.parametrize(("auc", "verdict"), [(0.7, "pass"), (0.6999, "fail"), (float("nan"), "unknown")])
def test_auc_is_judged_by_its_point_estimate(auc, verdict):
    report = judge_auc({"auc": auc, "auc_low": 0.6, "auc_high": 0.8}, GATES)
    assert (report.verdict, report.threshold) == (verdict, 0.7)


def test_auc_report_tells_the_interval():
    assert "[0.6000, 0.8000]" in judge_auc({"auc": 0.65, "auc_low": 0.6, "auc_high": 0.8}, GATES).reason


def test_no_auc_is_unknown():
    assert judge_auc({}, GATES).verdict == "unknown"


def test_one_slow_call_in_a_hundred_is_let_pass_and_two_are_not():
    assert judge_latency([1.0] * 1990 + [900.0] * 10, GATES).verdict == "pass"
    slow = judge_latency([1.0] * 1960 + [900.0] * 40, GATES)
    assert (slow.verdict, slow.value) == ("fail", 900.0)


def test_p99_equal_to_the_limit_passes():
    assert judge_latency([50.0] * 1000, GATES).verdict == "pass"


def test_too_few_calls_are_unknown():
    assert judge_latency([1.0] * 999, GATES).verdict == "unknown"


def test_a_manifest_as_it_is_written_passes():
    assert judge_manifest(manifest()).verdict == "pass"


@pytest.mark.parametrize(
    "name",
    [
        "model_id", "set_id", "as_of", "feature_service", "rows", "rows_sha256", "sources", "spec_sha256",
        "feature_names", "provenance", "provenance.code_commit", "provenance.lock_sha256",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["absent", "null"])
def test_a_manifest_without_a_field_fails_and_names_it(name, how):
    report = judge_manifest(incomplete(name, how=how))
    assert report.verdict == "fail"
    assert name in report.reason


def test_a_manifest_that_says_nothing_fails():
    assert judge_manifest(TrainingSetManifest.from_incomplete_json("{}")).verdict == "fail"


@pytest.mark.parametrize("name", ["code_commit", "lock_sha256"])
def test_what_could_not_be_found_out_is_unknown(name):
    value = manifest()
    report = judge_manifest(replace(value, provenance=replace(value.provenance, **{name: "unknown"})))
    assert (report.verdict, report.reason.startswith(f"{name} unknown")) == ("unknown", True)


def test_local_changes_are_told():
    value = manifest()
    changed = replace(value, provenance=replace(value.provenance, code_changed=True))
    assert "with local changes" in judge_manifest(changed).reason


def test_reports_are_json():
    reports = [judge_auc({}, GATES), judge_latency([1.0] * 1000, GATES), judge_manifest(manifest())]
    assert json.loads(json.dumps([asdict(report) for report in reports], allow_nan=False))
