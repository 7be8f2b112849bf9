"""One key's bytes are Feast's, whatever its columns and their order; a part of a key is told from bytes alike."""

from __future__ import annotations

import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given
from hypothesis import strategies as st

from include.adapters.online.keys import Key, KeyPart, check_keys, key_encoder
from include.errors import UsageError

# Short and few, so that equal ones and prefixes of each other are met; some are bytes that stand in a serialised key.
_TEXTS = st.one_of(st.text(max_size=3), st.sampled_from(["", "a", "ab", "\x02\0\0\0", "\x02\0\0\0\x01\0\0\0a"]))
_NAMES = st.lists(st.sampled_from(["a", "b", "customer_id", "category", "z"]), min_size=1, max_size=3, unique=True)
_KEYS = _NAMES.flatmap(
    lambda names: st.tuples(st.just(names), st.lists(_TEXTS, min_size=len(names), max_size=len(names)))
)


def as_feast(names: list[str], values: list[str]) -> bytes:
    key = EntityKey(join_keys=names, entity_values=[Value(string_val=value) for value in values])
    return bytes(serialize_entity_key(key, 3))


@given(_KEYS)
def test_a_key_is_serialised_as_feast_does(key: tuple[list[str], list[str]]) -> None:
    names, values = key

    assert key_encoder(tuple(names))(values[0] if len(names) == 1 else tuple(values)) == as_feast(names, values)


@given(_KEYS, _TEXTS)
def test_a_part_is_in_the_keys_that_have_the_value_at_its_place(key: tuple[list[str], list[str]], text: str) -> None:
    names, values = key

    for name, value in zip(names, values, strict=True):
        part = KeyPart(tuple(names), name, text)
        assert part.is_in(as_feast(names, values)) == (value == text)


@given(_KEYS, st.binary(min_size=1, max_size=12))
def test_a_part_is_in_no_key_of_other_columns_and_in_none_that_goes_on(
    key: tuple[list[str], list[str]], more: bytes
) -> None:
    names, values = key
    part = KeyPart(tuple(names), names[0], values[0])

    assert not part.is_in(as_feast([*names, "more"], [*values, values[0]]))
    assert not part.is_in(as_feast(names, values) + more)
    assert not part.is_in(as_feast(names, values)[:-1])


@pytest.mark.parametrize(
    ("keys", "names", "said"),
    [
        ([17850], ("customer_id",), r"customer_id 17850 is of type int; keys are opaque strings"),
        ([("a",)], ("customer_id",), r"customer_id \('a',\) is of type tuple"),
        ("17850", ("customer_id",), r"pass a list of customer_id values"),
        (["ab"], ("customer_id", "category"), r"key 'ab' is not a tuple of 2 strings; pass customer_id, category"),
        ([["a", "b"]], ("customer_id", "category"), r"key \['a', 'b'\] is not a tuple of 2 strings"),
        ([("a", "b", "c")], ("customer_id", "category"), r"is not a tuple of 2 strings"),
        ([("a", "b"), ("a", 1.0)], ("customer_id", "category"), r"category 1\.0 is of type float"),
        ([(None, "b")], ("customer_id", "category"), r"customer_id None is of type NoneType"),
    ],
    ids=repr,
)
def test_a_key_of_another_form_is_refused(keys: list[Key], names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_keys(keys, names)
