"""A column's bytes are those that Feast makes value by value, and back."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from feast import ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from include.adapters.online.encoding import encode_keys, encode_timestamps, encode_values, value_texts
from include.adapters.online.keys import key_encoder
from include.adapters.online.stored_values import decode_values, timestamp_us
from include.errors import MlopsError

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
_COLUMNS = st.one_of(
    *(
        st.tuples(st.just(dtype), st.just(value_type), st.lists(st.none() | values, max_size=40))
        for dtype, value_type, values in (
            (pa.float64(), ValueType.DOUBLE, st.floats()),
            (pa.float32(), ValueType.FLOAT, st.floats(width=32)),
            (pa.int64(), ValueType.INT64, st.integers(-(2**63), 2**63 - 1)),
            (pa.int32(), ValueType.INT32, st.integers(-(2**31), 2**31 - 1)),
            (pa.bool_(), ValueType.BOOL, st.booleans()),
            (pa.string(), ValueType.STRING, _TEXTS),
            (pa.list_(pa.float64()), ValueType.DOUBLE_LIST, st.lists(st.floats(allow_nan=False), min_size=1)),
        )
    )
)


@given(_COLUMNS)
def test_values_are_feasts_bytes_and_texts_and_come_back(
    case: tuple[pa.DataType, ValueType, list[object]],
) -> None:
    dtype, value_type, values = case
    column = pa.array(values, dtype)
    feast = python_values_to_proto_values(column.to_pylist(), value_type)

    encoded = encode_values(column, value_type)

    assert encoded.to_pylist() == [value.SerializeToString() for value in feast]
    assert value_texts(column).to_pylist() == [extract_text_and_num(value, False)[0] for value in feast]
    kinds = [value.WhichOneof("val") for value in feast]
    expected = [None if kind is None else getattr(value, kind) for kind, value in zip(kinds, feast, strict=True)]
    assert decode_values(encoded.to_pylist()) == expected


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1.0, 1e-4, 9.999e-5, 1e10, 9999999999.5, 1e15, 1e16, 1e300, math.inf, -math.inf], ids=repr
)
def test_a_float_is_written_out_as_python_does(number: float) -> None:
    assert value_texts(pa.array([number])).to_pylist() == [str(number)]


def test_a_part_of_a_column_is_encoded_as_if_it_were_the_whole() -> None:
    for column in (pa.array([1.5, None, 2.5, 3.5]), pa.array(["a", None, "bc", ""]), pa.array([1, None, 300, -1])):
        kind = {pa.float64(): ValueType.DOUBLE, pa.string(): ValueType.STRING}.get(column.type, ValueType.INT64)
        assert encode_values(column[1:3], kind).to_pylist() == encode_values(column, kind).to_pylist()[1:3]
        assert value_texts(column[1:3]).to_pylist() == value_texts(column).to_pylist()[1:3]


@given(st.lists(st.tuples(_TEXTS, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=20))
def test_keys_are_feasts_bytes(pairs: list[tuple[str, int]]) -> None:
    texts, numbers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    one = encode_keys({"customer_id": pa.array(texts)}).to_pylist()
    two = encode_keys({"z": pa.array(texts), "a": pa.array(numbers)}).to_pylist()

    assert one == [
        serialize_entity_key(EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=text)]), 3)
        for text in texts
    ]
    assert one == [key_encoder(("customer_id",))(text) for text in texts]
    assert two == [
        serialize_entity_key(
            EntityKey(join_keys=["z", "a"], entity_values=[Value(string_val=text), Value(int64_val=number)]), 3
        )
        for text, number in pairs
    ]


def test_a_key_of_another_type_is_refused() -> None:
    with pytest.raises(MlopsError, match="join key ratio is of type double"):
        encode_keys({"ratio": pa.array([0.5])})


@given(st.lists(st.integers(-(10**15), 10**16), max_size=20))
def test_times_are_protobufs_bytes_and_come_back(micros: list[int]) -> None:
    expected = []
    for moment_us in micros:
        message = Timestamp()
        message.FromMicroseconds(moment_us)
        expected.append(message.SerializeToString())

    encoded = encode_timestamps(pa.array(micros, pa.int64())).to_pylist()

    assert encoded == expected
    assert [timestamp_us(stored) for stored in encoded] == micros
