from __future__ import annotations

import json

import numpy as np
import pytest

from include.serving.binary_tensors import pack
from include.serving.protocols import read_inference, write_inference
from include.serving.refusal import Refusal


def body(inputs: list[dict], tail: bytes = b"", **more: object) -> tuple[bytes, int]:
    head = json.dumps({"inputs": inputs, **more}).encode()
    return head + tail, len(head)


def tensor(name: str, datatype: str, count: int, size: object) -> dict:
    return {"name": name, "shape": [count], "datatype": datatype, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize(
    ("datatype", "dtype"), [("FP64", "<f8"), ("FP32", "<f4"), ("INT64", "<i8"), ("INT32", "<i4"), ("BOOL", "?")]
)
def test_bytes_are_the_values_that_they_were_made_of(datatype: str, dtype: str) -> None:
    values = np.array([1, 0, 1], dtype=dtype)
    asked, length = body([tensor("a", datatype, 3, values.nbytes)], values.tobytes())
    assert read_inference(asked, length).rows == [{"a": value} for value in values.tolist()]


def test_tensors_follow_one_another_beside_those_in_json_and_nan_is_missing() -> None:
    inputs = [
        tensor("a", "FP64", 2, 16),
        {"name": "b", "shape": [2], "datatype": "FP64", "data": [3.5, 4.5]},
        tensor("c", "FP32", 2, 8),
    ]
    tail = np.array([1.5, np.nan]).tobytes() + np.array([5.5, 6.5], dtype="<f4").tobytes()
    asked, length = body(inputs, tail)
    assert read_inference(asked, length).rows == [{"a": 1.5, "b": 3.5, "c": 5.5}, {"a": None, "b": 4.5, "c": 6.5}]


@pytest.mark.parametrize(
    ("inputs", "tail", "said"),
    [
        ([tensor("a", "FP64", 2, 16)], b"\0" * 8, "8 bytes follow the JSON, and its inputs claim 16"),
        ([tensor("a", "FP64", 2, 16)], b"\0" * 24, "24 bytes follow the JSON, and its inputs claim 16"),
        ([tensor("a", "FP64", 2, 15)], b"\0" * 15, "15 bytes, which is no whole number of FP64"),
        ([tensor("a", "FP64", 3, 16)], b"\0" * 16, "2 values, its shape [3] says 3"),
        ([tensor("a", "BYTES", 2, 16)], b"\0" * 16, "'a' is BYTES in bytes; a feature is one of BOOL, "),
        ([tensor("a", "FP64", 2, -16)], b"", "binary_data_size=-16; write its number of bytes"),
        ([tensor("a", "FP64", 2, "16")], b"\0" * 16, 'binary_data_size="16"; write its number of bytes'),
        ([tensor("a", "FP64", 2, True)], b"\0", "binary_data_size=true; write its number of bytes"),
        ([{"name": "a", "shape": [1], "datatype": "FP64"}], b"", "'a' has no data, and no parameters.binary_data_size"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(inputs: list[dict], tail: bytes, said: str) -> None:
    asked, length = body(inputs, tail)
    with pytest.raises(Refusal) as refused:
        read_inference(asked, length)
    assert refused.value.status == 422
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("more", "as_bytes"),
    [
        ({}, ()),
        ({"parameters": {"binary_data_output": True}}, ("probability", "prediction")),
        ({"outputs": [{"name": "probability", "parameters": {"binary_data": True}}]}, ("probability",)),
        ({"outputs": [{"name": "probability"}], "parameters": {"binary_data_output": True}}, ("probability",)),
        ({"outputs": [{"name": "probability", "parameters": {"binary_data": False}}]}, ()),
    ],
)
def test_an_answer_has_bytes_where_they_are_wanted(more: dict, as_bytes: tuple[str, ...]) -> None:
    asked, length = body([tensor("a", "FP64", 1, 8)], b"\0" * 8, **more)
    assert read_inference(asked, length).as_bytes == as_bytes


def test_what_was_not_scored_is_nan_in_bytes() -> None:
    values = {"probability": [0.25, None], "prediction": [0, 1]}
    told = write_inference("churn", 1, values, asked_id=None, outputs=("probability", "prediction"))
    answer = pack(told, ["probability"])
    head = json.loads(answer.body[: answer.json_bytes])
    assert head["outputs"][0] == {
        "name": "probability", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8},
    }  # fmt: skip
    assert head["outputs"][1]["data"] == [0, 1]
    np.testing.assert_array_equal(
        np.frombuffer(answer.body[answer.json_bytes :], "<f4"), np.array([0.25, np.nan], "<f4")
    )
