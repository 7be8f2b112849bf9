"""Questions to a model: what is understood, whatever the order of its names, and what is refused."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import UsageError
from include.serving.asks import Ask, AskReader, as_matrix
from include.serving.refusal import Refusal

FEATURES = (("orders", "int64"), ("value", "float64"), ("share", "float32"))
READER = AskReader(("who",), FEATURES, max_rows=5)
WHOLE = {"orders": 3, "value": 2.5, "share": 0.5}


def read(body: object) -> Ask:
    return READER.read(json.dumps(body).encode())


def refused(body: bytes) -> Refusal:
    with pytest.raises(Refusal) as caught:
        READER.read(body)
    return caught.value


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "orders": st.none() | st.integers(-(2**63), 2**63 - 1),
                "value": st.none() | st.floats(-1e30, 1e30),
                "share": st.none() | st.floats(-1e3, 1e3),
            }
        ),
        min_size=1,
        max_size=5,
    ),
    seed=st.integers(0, 100),
)
def test_any_order_of_names_is_one_matrix(rows: list[dict], seed: int) -> None:
    shuffled = [dict(random.Random(seed).sample(list(row.items()), len(row))) for row in rows]

    found = [read({"instances": given}).vectors for given in (rows, shuffled)]

    wide = np.array([[row[name] for name, _ in FEATURES] for row in rows], dtype=np.float64)
    assert found[0] == found[1] == [row.tobytes() for row in wide.astype("<f4")]
    np.testing.assert_array_equal(as_matrix(found[0], len(FEATURES)), wide.astype(np.float32))


def test_entities_come_with_features_that_stand_in_for_theirs() -> None:
    ask = READER.read(b'{"entities": [{"who": "1"}, {"who": "2"}], "instances": [{"orders": 4}, {}], "features": true}')

    assert ask.entities == [("1",), ("2",)]
    assert ask.given == [{"orders": 4}, {}]
    assert ask.is_detailed


def test_a_time_is_taken_as_the_instant_that_it_is() -> None:
    ask = READER.read(b'{"entities": [{"who": "1"}], "at": "2026-03-03T02:00:00+02:00"}')

    assert ask.at == datetime(2026, 3, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "nothing is asked about"),
        ({"entities": []}, "nothing is asked about"),
        ({"instances": [{"orders": 1, "value": 1.0}]}, "share"),
        ({"instances": [{**WHOLE, "colour": 1}]}, "colour"),
        ({"instances": [{**WHOLE, "orders": 2.5}]}, "Expected `int | null`"),
        ({"instances": [{**WHOLE, "orders": True}]}, "Expected `int | null`"),
        ({"instances": [{**WHOLE, "orders": "3"}]}, "Expected `int | null`"),
        ({"instances": [{**WHOLE, "orders": 2**63}]}, "9223372036854775807"),
        ({"instances": [{**WHOLE, "value": "2.5"}]}, "Expected `float | null`"),
        ({"instances": [{**WHOLE, "value": [2.5]}]}, "Expected `float | null`"),
        ({"instances": [[3, 2.5, 0.5]]}, "Expected `object`"),
        ({"instances": [WHOLE] * 6}, "5 at once"),
        ({"entities": [{"who": "1"}] * 6}, "5 at once"),
        ({"entities": [{"who": 1}]}, "Expected `str`"),
        ({"entities": [{"whom": "1"}]}, "who"),
        ({"entities": ["1"]}, "Expected `object`"),
        ({"entities": [{"who": "1"}], "instances": [{}, {}]}, "as many of one as of the other"),
        ({"entities": [{"who": "1"}], "entitys": []}, "entitys"),
        ({"entities": [{"who": "1"}], "k": 0}, ">= 1"),
        ({"entities": [{"who": "1"}], "at": "2026-03-03T00:00:00"}, "no time zone"),
        ({"entities": [{"who": "1"}], "at": "yesterday"}, "RFC3339"),
    ],
)
def test_what_is_not_expected_is_refused_with_what_is(body: object, said: str) -> None:
    no = refused(json.dumps(body).encode())

    assert no.status == 422
    assert said in no.message


@pytest.mark.parametrize("value", ["1e39", "-1e39", "1e300"])
def test_a_number_beyond_those_of_a_model_is_refused_by_name(value: str) -> None:
    whole = b'{"orders": 1, "value": 1, "share": 0}'
    no = refused(b'{"instances": [%b, {"orders": 1, "value": %b, "share": 0}]}' % (whole, value.encode()))

    assert no.status == 422
    assert "feature value of row 1" in no.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"NaN",
        b'{"instances": [{"orders": NaN, "value": 1, "share": 1}]}',
        b'{"instances": [{"orders": 1, "value": Infinity, "share": 1}]}',
        b'{"instances": [{"orders": 1, "value": 1e999, "share": 1}]}',
        b"[" * 100_000,
        b'{"entities":' * 50_000,
        b'{"entities": [{"who": "\\ud800"}]}',
    ],
    ids=[
        "empty",
        "cut",
        "no UTF-8",
        "NaN",
        "NaN value",
        "Infinity",
        "too large",
        "deep",
        "deep objects",
        "half a pair",
    ],
)
def test_what_is_no_json_is_refused_and_breaks_nothing(body: bytes) -> None:
    assert refused(body).status in (400, 422)


@pytest.mark.parametrize(
    "body",
    [
        b'{"entities": [{"who": "1"}], "entities": [{"who": "2"}]}',
        b'{"entities": [{"who": "1", "who": "2"}]}',
        b'{"instances": [{"orders": 1, "value": 1, "share": 1, "orders" : 2}]}',
        b'{"instances": [{"orders": 1, "value": 1, "share": 1, "\\u006frders": 2}]}',
    ],
)
def test_a_name_that_is_there_twice_is_refused(body: bytes) -> None:
    assert "twice" in refused(body).message


def test_a_text_that_looks_like_a_name_is_no_name() -> None:
    assert READER.read(b'{"entities": [{"who": "a\\": \\"b\\":"}]}').entities == [('a": "b":',)]


def test_a_row_is_one_flat_object() -> None:
    assert READER.read_row(json.dumps(WHOLE).encode()).vectors == read({"instances": [WHOLE]}).vectors
    with pytest.raises(Refusal, match="twice"):
        READER.read_row(b'{"orders": 1, "value": 1, "share": 1, "share": 2}')
    with pytest.raises(Refusal, match="missing"):
        READER.read_row(b'{"orders": 1}')


def test_a_version_takes_the_rows_of_another_by_their_names() -> None:
    other = AskReader(("who",), (("share", "float32"), ("orders", "int64")), max_rows=5)
    vectors = read({"instances": [WHOLE, {**WHOLE, "share": None}]}).vectors

    taken = as_matrix(other.taken_from(vectors, READER.features), 2)

    np.testing.assert_array_equal(taken, np.array([[0.5, 3], [np.nan, 3]], np.float32))
    assert READER.taken_from(vectors, READER.features) == vectors
    with pytest.raises(UsageError, match="have no value"):
        READER.taken_from(vectors, other.features)
