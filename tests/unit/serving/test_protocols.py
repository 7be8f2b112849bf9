"""MLflow's and the Open Inference Protocol's bodies: the same rows however they are written, and what is refused."""

from __future__ import annotations

import json

import pytest

from include.serving.protocols import Inference, read_inference, read_invocation, write_inference
from include.serving.refusal import Refusal

ROWS = [{"a": 1, "b": 2.5}, {"a": None, "b": 0.5}]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["b", "a"], "data": [[2.5, 1], [0.5, None]]}},
        {"dataframe_split": {"columns": ["a", "b"], "index": [7, 8], "data": [[1, 2.5], [None, 0.5]]}},
        {"dataframe_records": ROWS},
        {"inputs": ROWS},
        {"inputs": {"a": [1, None], "b": [2.5, 0.5]}},
        {"instances": ROWS, "params": {"x": 1}},
    ],
)
def test_every_form_of_mlflow_gives_the_rows(body: dict) -> None:
    assert read_invocation(json.dumps(body).encode()) == ROWS


@pytest.mark.parametrize(
    "inputs",
    [
        [
            {"name": "b", "shape": [2], "datatype": "FP64", "data": [2.5, 0.5]},
            {"name": "a", "shape": [2, 1], "datatype": "INT64", "data": [[1], [None]]},
        ],
        [
            {
                "name": "features",
                "shape": [2, 2],
                "datatype": "FP64",
                "data": [2.5, 1, 0.5, None],
                "parameters": {"feature_names": ["b", "a"]},
            }
        ],
        [
            {
                "name": "features",
                "shape": [2, 2],
                "datatype": "FP64",
                "data": [[1, 2.5], [None, 0.5]],
                "parameters": {"feature_names": ["a", "b"]},
            }
        ],
    ],
    ids=["a tensor a feature", "flat matrix", "nested matrix"],
)
def test_every_form_of_the_open_inference_protocol_gives_the_rows(inputs: list[dict]) -> None:
    asked = read_inference(json.dumps({"id": "7", "inputs": inputs}).encode())

    assert asked == Inference(ROWS, "7", (), ())


@pytest.mark.parametrize(
    ("read", "body", "said"),
    [
        (read_invocation, {}, "none"),
        (read_invocation, {"inputs": ROWS, "instances": ROWS}, "inputs and instances"),
        (read_invocation, {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}, "twice"),
        (read_invocation, {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "has 2 values"),
        (read_invocation, {"inputs": {"a": [1], "b": [1, 2]}}, "different lengths"),
        (read_invocation, {"dataframe": []}, "dataframe"),
        (read_inference, {"inputs": [{"name": "a", "shape": [2], "datatype": "FP32", "data": [1]}]}, "says 2"),
        (read_inference, {"inputs": [{"name": "a", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}, "[n, f]"),
        (
            read_inference,
            {"inputs": [{"name": "features", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]},
            "order",
        ),
        (read_inference, {"inputs": [{"name": "a", "shape": [-1], "datatype": "FP32", "data": []}]}, ">= 0"),
        (read_inference, {"inputs": [{"name": "a", "shape": [0], "datatype": "x", "data": []}] * 2}, "twice"),
        (read_inference, {"input": []}, "inputs"),
    ],
)
def test_another_body_is_refused(read: object, body: dict, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(json.dumps(body).encode())  # type: ignore[operator]

    assert caught.value.status == 422
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (read_invocation, b'{"inputs": [{"a": 1, "a": 2}]}'),
        (read_invocation, b'{"inputs": [{"a": 1}], "inputs": [{"a": 2}]}'),
        (read_inference, b'{"inputs": [{"name": "a", "shape": [1], "datatype": "FP32", "data": [1], "data": [2]}]}'),
    ],
)
def test_a_name_that_is_there_twice_is_refused(read: object, body: bytes) -> None:
    with pytest.raises(Refusal, match="twice in one object"):
        read(body)  # type: ignore[operator]


def test_the_outputs_that_are_asked_for_are_given() -> None:
    values = {"probability": [0.75, 0.25], "prediction": [1, 0]}

    whole = write_inference("m", 3, values, asked_id="7", outputs=())
    one = write_inference("m", 3, values, asked_id=None, outputs=("prediction",))

    assert [(output["name"], output["data"]) for output in whole["outputs"]] == [
        ("probability", [0.75, 0.25]),
        ("prediction", [1, 0]),
    ]
    assert (whole["id"], whole["model_version"]) == ("7", "3")
    assert "id" not in one
    assert [output["name"] for output in one["outputs"]] == ["prediction"]
    with pytest.raises(Refusal, match="no output 'label'"):
        write_inference("m", 3, values, asked_id=None, outputs=("label",))
