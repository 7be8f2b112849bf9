"""What follows from a score is what the spec says, by the task."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.scoring.predictions import predict_columns
from include.specs.lake_tables import list_tables_of
from tests.unit.training.examples_builder import make_ranking_spec, make_spec

ROWS = pa.table({"customer_id": ["a", "b", "a", "a"], "category": ["z", "x", "y", "x"]})
SCORES = np.array([0.5, -3.0, 0.5, 0.4999], dtype=np.float32)


def predicted(spec):
    return {name: column.to_pylist() for name, column in predict_columns(spec, ROWS, SCORES).items()}


def test_a_classifier_decides_by_its_threshold():
    assert predicted(make_spec()) == {"decision": [True, False, True, False]}


@pytest.mark.parametrize(("top_k", "decision"), [(1, [0, 1, 1, 0]), (2, [1, 1, 1, 0]), (9, [1, 1, 1, 1])])
def test_a_ranking_decides_for_the_first_places_of_each_list(top_k, decision):
    assert predicted(make_ranking_spec(top_k=top_k)) == {"rank": [2, 1, 1, 3], "decision": [bool(d) for d in decision]}


def test_of_three_keys_the_last_names_the_item():
    rows = ROWS.append_column("shop", pa.array(["1", "1", "1", "2"]))
    spec = make_ranking_spec(keys=("shop", "customer_id", "category"))
    assert predict_columns(spec, rows, SCORES)["rank"].to_pylist() == [2, 1, 1, 1]


@pytest.mark.parametrize("spec", [make_spec(), make_ranking_spec()], ids=lambda spec: spec.task)
def test_what_is_predicted_is_what_the_table_has(spec):
    schema = list_tables_of(spec)[0].arrow_schema()
    for name, column in predict_columns(spec, ROWS, SCORES).items():
        assert schema.field(name).type == column.type
    assert set(spec.predicted) == set(predict_columns(spec, ROWS, SCORES))
