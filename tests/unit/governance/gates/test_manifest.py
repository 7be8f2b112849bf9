"""The gate of the manifest: whatever it lacks is named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from include.governance.evidence import GateReport
from include.governance.gate import CandidateFacts
from include.governance.gates.manifest import judge_manifest
from include.specs.model_sections import BinaryGatesSpec
from include.training.manifest import TrainingSetManifest
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec


def judge(value: TrainingSetManifest) -> GateReport:
    return judge_manifest(CandidateFacts(manifest=value), BinaryGatesSpec(auc_min=0.7, latency_p99_ms_max=50))


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


def test_a_manifest_as_it_is_written_passes():
    assert judge(manifest()).verdict == "pass"


@pytest.mark.parametrize(
    "name",
    [
        "model_id", "set_id", "as_of", "feature_service", "rows", "rows_sha256", "sources", "spec_sha256",
        "feature_names", "provenance", "provenance.code_commit", "provenance.lock_sha256",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["absent", "null"])
def test_a_manifest_without_a_field_fails_and_names_it(name, how):
    report = judge(incomplete(name, how=how))
    assert report.verdict == "fail"
    assert name in report.reason


def test_a_manifest_that_says_nothing_fails():
    assert judge(TrainingSetManifest.from_incomplete_json("{}")).verdict == "fail"


@pytest.mark.parametrize("name", ["code_commit", "lock_sha256"])
def test_what_could_not_be_found_out_is_unknown(name):
    value = manifest()
    report = judge(replace(value, provenance=replace(value.provenance, **{name: "unknown"})))
    assert (report.verdict, report.reason.startswith(f"{name} unknown")) == ("unknown", True)


def test_local_changes_are_told():
    value = manifest()
    changed = replace(value, provenance=replace(value.provenance, code_changed=True))
    assert "with local changes" in judge(changed).reason
