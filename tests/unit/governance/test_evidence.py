"""The ledger's JSON, read and written: what stands there today stays readable and is written back the same."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from include.errors import MlopsError
from include.governance import evidence
from include.governance.evidence import Evidence, GateReport, TrainedOn
from tests.unit.governance.evidence_builder import KEPT, make_evidence
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

ROW = "promotion_ledger, churn move 3"


def written(value: Evidence | None) -> object:
    return json.loads(json.dumps(evidence.to_json(value), allow_nan=False))


def without(path: str) -> dict[str, object]:
    return changed(path, None, drop=True)


def changed(path: str, value: object, *, drop: bool = False) -> dict[str, object]:
    *parents, last = path.split(".")
    kept = copy.deepcopy(KEPT)
    inner = kept
    for part in parents:
        inner = inner[int(part)] if part.isdigit() else inner[part]
    if drop:
        del inner[last]
    else:
        inner[last] = value
    return kept


@pytest.mark.parametrize("kept", [KEPT, {}, without("trained_on")], ids=["today's", "none", "the oldest"])
def test_what_is_kept_is_written_back_the_same(kept):
    assert written(evidence.from_json(kept, row=ROW)) == kept


def test_the_version_that_it_was_compared_with_is_kept_and_a_row_that_names_none_has_none():
    made = replace(make_evidence(), champion=3)
    assert evidence.from_json(written(made), row=ROW) == made
    assert "champion" not in written(make_evidence())
    assert evidence.from_json(KEPT, row=ROW).champion is None
    assert not evidence.from_json(KEPT, row=ROW).is_compared


def test_a_row_is_read_as_values():
    read = evidence.from_json(KEPT, row=ROW)
    assert (read.as_of, read.run_id, [gate.gate for gate in read.gates]) == (
        "2026-03-14", "5f0c2b", ["auc", "latency", "manifest"],
    )  # fmt: skip
    assert read.gates[2] == GateReport("manifest", "unknown", None, None, "lock_sha256 unknown")
    assert read.trained_on.sources == {"raw/orders": 0, "features/customer_daily": 0}
    assert read.trained_on.provenance.code_commit == "c0ffee"


def test_a_row_without_evidence_has_none():
    assert evidence.from_json({}, row=ROW) is None


def test_what_was_made_survives_the_ledger():
    made = make_evidence()
    assert evidence.from_json(written(made), row=ROW) == made


def test_what_a_version_was_trained_on_is_what_its_manifest_says():
    manifest = make_manifest(make_spec(), make_examples(entities=5))
    said = TrainedOn.of(manifest)
    assert {name: getattr(manifest, name) for name in vars(said)} == vars(said)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (changed("gates.0.verdict", "maybe"), r"gates\.0\.verdict='maybe'"),
        (changed("gates.1.value", "0.041"), r"gates\.1\.value='0\.041'"),
        (changed("trained_on.rows", 8123.5), r"trained_on\.rows=8123\.5"),
        (changed("as_of", None), "as_of=None"),
        (without("run_id"), "run_id is missing"),
        (without("trained_on.provenance.code_commit"), r"trained_on\.provenance\.code_commit is missing"),
        (changed("outcome", 1), "outcome=1"),
        (changed("trained_on.provenance.host", "x"), r"trained_on\.provenance\.host='x'"),
        ([], "object"),
        (None, "object"),
    ],
    ids=str,
)
def test_what_no_code_of_ours_wrote_is_refused_and_the_row_and_the_value_are_named(kept, told):
    with pytest.raises(MlopsError, match=rf"^promotion_ledger, churn move 3: .*{told}.*restore the row"):
        evidence.from_json(kept, row=ROW)
