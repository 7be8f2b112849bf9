"""Tensors as bytes behind the JSON of the Open Inference Protocol, as Triton's clients send them by default.

What belongs here: bytes to values and back. What does not: what a tensor means (``protocols``), and HTTP.

The first bytes of a body are its JSON, as many as the header ``Inference-Header-Content-Length`` says; the tensors
whose parameter ``binary_data_size`` is set follow it, in their order, little-endian: the "Binary Tensor Data Extension"
of the Open Inference Protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from include.serving.refusal import unprocessable

HEADER = b"inference-header-content-length"
_SIZE = "binary_data_size"
_TYPES = {
    "BOOL": "?",
    **{
        f"{kind}{bits}": f"<{code}{bits // 8}"
        for kind, code in (("INT", "i"), ("UINT", "u"))
        for bits in (8, 16, 32, 64)
    },
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


@dataclass(frozen=True)
class BinaryAnswer:
    """An answer whose tensors stand behind its JSON.

    Attributes
    ----------
    body : bytes
    json_bytes : int
        How many of them are its JSON.
    """

    body: bytes
    json_bytes: int


def unpack(datatype: str, data: bytes, name: str) -> list[object]:
    """Return a tensor's values, NaN as None, which is what is missing.

    Raises
    ------
    Refusal
        422 where the type is not one of numbers, or the bytes are no whole number of values.
    """
    if (kind := _TYPES.get(datatype)) is None:
        raise unprocessable(f"input {name!r} is {datatype} in bytes; a feature is one of {', '.join(_TYPES)}")
    width = np.dtype(kind).itemsize
    if len(data) % width:
        raise unprocessable(f"input {name!r} has {len(data)} bytes, which is no whole number of {datatype}")
    values: list[object] = np.frombuffer(data, dtype=kind).tolist()
    return [None if value != value else value for value in values]


def cut(tail: bytes, sizes: Mapping[str, object]) -> dict[str, bytes]:
    """Return the bytes of each tensor, whose sizes are given in their order.

    Raises
    ------
    Refusal
        422 where a size is no number, or the sizes do not add up to the bytes that there are.
    """
    found, begin = {}, 0
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise unprocessable(f"input {name!r} has {_SIZE}={json.dumps(size)}; write its number of bytes")
        found[name] = tail[begin : begin + size]
        begin += size
    if begin != len(tail):
        raise unprocessable(f"{len(tail)} bytes follow the JSON, and its inputs claim {begin} of them")
    return found


def pack(told: Mapping[str, object], as_bytes: Sequence[str]) -> BinaryAnswer:
    """Return an answer with the data of some of its outputs as bytes."""
    outputs: list[Mapping[str, object]] = []
    tail = b""
    for output in told["outputs"]:  # type: ignore[attr-defined]
        if output["name"] not in as_bytes:
            outputs.append(output)
            continue
        values = [np.nan if value is None else value for value in output["data"]]
        data = np.array(values, dtype=_TYPES[output["datatype"]]).tobytes()
        kept = {name: value for name, value in output.items() if name != "data"}
        outputs.append({**kept, "parameters": {_SIZE: len(data)}})
        tail += data
    head = msgspec.json.encode({**told, "outputs": outputs})
    return BinaryAnswer(head + tail, len(head))
