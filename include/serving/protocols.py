"""Other people's ways to ask: MLflow's scoring protocol and the Open Inference Protocol, as rows of names and values.

What belongs here: from their bodies to rows, and from scores to theirs. What does not: what a row may hold (``asks``),
and scoring.

References
----------
MLflow, "Deploy MLflow Model as a Local Inference Server": ``dataframe_split``, ``dataframe_records``, ``inputs``.
Open Inference Protocol v2, REST: https://github.com/open-inference/open-inference-protocol
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from include.serving.binary_tensors import cut, unpack
from include.serving.json_bodies import read_json, refuse_doubled
from include.serving.refusal import unprocessable

# What the Open Inference Protocol calls our types.
OIP_TYPES: Mapping[str, str] = {
    "int64": "INT64",
    "int32": "INT32",
    "float32": "FP32",
    "float64": "FP64",
    "bool": "BOOL",
}
_OUTPUTS = {"probability": "FP32", "prediction": "INT64"}
# The tensor that holds all features; its parameter ``feature_names`` says which column is which.
MATRIX = "features"

_Row = dict[str, object]
_Whole = Annotated[int, msgspec.Meta(ge=0)]


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[object]]
    index: list[object] | None = None


class _Invocation(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: _Split | None = None
    dataframe_records: list[_Row] | None = None
    inputs: list[_Row] | dict[str, list[object]] | None = None
    instances: list[_Row] | None = None
    params: dict[str, object] | None = None


class _Tensor(msgspec.Struct):
    name: str
    shape: list[_Whole]
    datatype: str
    data: list[object] | None = None
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Inference(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_Output] = []
    parameters: dict[str, Any] = {}


@dataclass(frozen=True)
class Inference:
    """A question in the Open Inference Protocol.

    Attributes
    ----------
    rows : list of dict
    asked_id : str or None
    outputs : tuple of str
        Those that are wanted; empty: all.
    as_bytes : tuple of str
        Those of them whose data is wanted as bytes behind the JSON.
    """

    rows: list[_Row]
    asked_id: str | None
    outputs: tuple[str, ...]
    as_bytes: tuple[str, ...]


def read_invocation(body: bytes) -> list[_Row]:
    """Return the rows of a body of MLflow's scoring protocol.

    Raises
    ------
    Refusal
        400 where it is no JSON, 422 where it is another body.
    """
    found = _decoded(body, _Invocation)
    given = [name for name in ("dataframe_split", "dataframe_records", "inputs", "instances") if getattr(found, name)]
    if len(given) != 1:
        raise unprocessable(
            f"a body has one of dataframe_split, dataframe_records, inputs and instances; this has "
            f"{' and '.join(given) or 'none'}"
        )
    if found.dataframe_split is not None:
        return _split_rows(found.dataframe_split)
    rows = found.dataframe_records or found.inputs or found.instances or []
    return _columns_rows(rows) if isinstance(rows, dict) else rows


def read_inference(body: bytes, json_bytes: int | None = None) -> Inference:
    """Return what a body of the Open Inference Protocol asks.

    A tensor is a feature, of shape [n] or [n, 1]; or one tensor ``features`` of shape [n, f] is all of them, and its
    parameter ``feature_names`` names its columns.

    Parameters
    ----------
    body : bytes
    json_bytes : int, optional
        How many of them are its JSON, where tensors stand behind it (`binary_tensors`).

    Raises
    ------
    Refusal
        400 where it is no JSON, 422 where it is another body.
    """
    found = _decoded(body[:json_bytes], _Inference)
    names = [tensor.name for tensor in found.inputs]
    if len(set(names)) < len(names):
        raise unprocessable(f"input {max(names, key=names.count)!r} is there twice; give each once")
    _fill(found.inputs, b"" if json_bytes is None else body[json_bytes:])
    if names == [MATRIX]:
        rows = _matrix_rows(found.inputs[0])
    else:
        rows = _columns_rows({tensor.name: _flat(tensor) for tensor in found.inputs})
    outputs = tuple(output.name for output in found.outputs)
    return Inference(rows, found.id, outputs, _wanted_as_bytes(found))


def write_inference(
    model: str, version: int, values: Mapping[str, Sequence[object]], *, asked_id: str | None, outputs: Sequence[str]
) -> dict[str, object]:
    """Return values by output as the Open Inference Protocol has them: probability and prediction, or some of them.

    Raises
    ------
    Refusal
        422 where there is no such output.
    """
    if unknown := [name for name in outputs if name not in _OUTPUTS]:
        raise unprocessable(f"there is no output {unknown[0]!r}; there are {', '.join(_OUTPUTS)}")
    told = [
        {"name": name, "shape": [len(values[name])], "datatype": _OUTPUTS[name], "data": values[name]}
        for name in outputs or _OUTPUTS
    ]
    body: dict[str, object] = {"model_name": model, "model_version": str(version), "outputs": told}
    return body if asked_id is None else {**body, "id": asked_id}


def _wanted_as_bytes(found: _Inference) -> tuple[str, ...]:
    default = found.parameters.get("binary_data_output", False)
    if not found.outputs:
        return tuple(_OUTPUTS) if default else ()
    return tuple(output.name for output in found.outputs if output.parameters.get("binary_data", default))


def _fill(tensors: Sequence[_Tensor], tail: bytes) -> None:
    """Give each tensor its values, from the JSON or from the bytes behind it."""
    sizes = {
        tensor.name: tensor.parameters["binary_data_size"]
        for tensor in tensors
        if tensor.data is None and "binary_data_size" in tensor.parameters
    }
    pieces = cut(tail, sizes)
    for tensor in tensors:
        if tensor.name in pieces:
            tensor.data = unpack(tensor.datatype, pieces[tensor.name], tensor.name)
        elif tensor.data is None:
            raise unprocessable(f"input {tensor.name!r} has no data, and no parameters.binary_data_size either")


def _decoded(body: bytes, kind: type[Any]) -> Any:
    try:
        found = read_json(msgspec.json.Decoder(kind).decode, body)
    except msgspec.ValidationError as err:
        raise unprocessable(str(err)) from None
    refuse_doubled(body)
    return found


def _split_rows(split: _Split) -> list[_Row]:
    if len(set(split.columns)) < len(split.columns):
        raise unprocessable(f"column {max(split.columns, key=split.columns.count)!r} is there twice; name each once")
    for place, row in enumerate(split.data):
        if len(row) != len(split.columns):
            raise unprocessable(f"row {place} of data has {len(row)} values, columns names {len(split.columns)}")
    return [dict(zip(split.columns, row, strict=True)) for row in split.data]


def _columns_rows(columns: Mapping[str, list[object]]) -> list[_Row]:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise unprocessable(f"columns are of different lengths: {lengths}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _flat(tensor: _Tensor) -> list[object]:
    """Return a feature's values, which may be nested as its shape is."""
    if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
        raise unprocessable(
            f"input {tensor.name!r} has shape {tensor.shape}; a feature has [n] or [n, 1], all of them together are "
            f"one input {MATRIX!r} of [n, f] with parameters.feature_names"
        )
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in tensor.data or ()]
    return _counted(tensor, values)


def _matrix_rows(tensor: _Tensor) -> list[_Row]:
    names = tensor.parameters.get("feature_names")
    if not isinstance(names, list) or len(tensor.shape) != 2 or tensor.shape[1] != len(names):
        raise unprocessable(
            f"input {MATRIX!r} has shape {tensor.shape}; it needs [n, f] and parameters.feature_names with f names: no "
            "order of columns is taken for granted"
        )
    data = tensor.data or []
    rows = data if isinstance(data[:1] and data[0], list) else _cut(tensor, data, len(names))
    if len(rows) != tensor.shape[0]:
        raise unprocessable(f"input {MATRIX!r} has {len(rows)} rows, its shape {tensor.shape} says {tensor.shape[0]}")
    try:
        return _split_rows(_Split([str(name) for name in names], msgspec.convert(rows, list[list[object]])))
    except msgspec.ValidationError as err:
        raise unprocessable(f"input {MATRIX!r}: {err}") from None


def _cut(tensor: _Tensor, data: list[object], width: int) -> list[object]:
    values = _counted(tensor, data)
    return [values[at : at + width] for at in range(0, len(values), width)]


def _counted(tensor: _Tensor, values: list[object]) -> list[object]:
    wanted = 1
    for length in tensor.shape:
        wanted *= length
    if len(values) != wanted:
        raise unprocessable(f"input {tensor.name!r} has {len(values)} values, its shape {tensor.shape} says {wanted}")
    return values
