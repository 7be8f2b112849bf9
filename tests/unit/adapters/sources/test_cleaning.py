"""What only looks like a value is none, and what only looks like another value is the same."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.adapters.sources.cleaning import Cleaned, clean_texts
from include.specs.dialect import BLANKS, NULL_WORDS, Dialect


def clean(*values: str | None, **changes: object) -> Cleaned:
    return clean_texts(pa.chunked_array([pa.array(values, pa.string())]), Dialect(**changes))


@pytest.mark.parametrize(
    "word", [*NULL_WORDS, " ", "\t", "\xa0", "\u200b", "\ufeff", " NULL ", "\u200bnan\xa0", "\u3000"]
)
def test_a_word_for_nothing_is_null_and_counted_if_it_had_a_character(word):
    found = clean("x", word, None)
    assert found.values.to_pylist() == ["x", None, None]
    assert (found.trimmed, found.null_words) == (0, bool(word))


@pytest.mark.parametrize("text", ["NA", "Null", "NULLS", "xNULL", "nané", "0", "-", "no\u200bwidth within", "é", "Nan"])
def test_any_other_word_stays(text):
    assert clean(text).values.to_pylist() == [text]


@pytest.mark.parametrize("blank", BLANKS)
def test_a_padded_text_is_its_plain_form_and_is_counted(blank):
    found = clean(f"{blank}17850", f"17850{blank}{blank}", "17850", f"a{blank}b")
    assert found.values.to_pylist() == ["17850", "17850", "17850", f"a{blank}b"]
    assert (found.trimmed, found.null_words) == (2, 0)


def test_without_trim_blanks_stay_but_not_where_there_is_nothing_else():
    found = clean(" a ", " NULL", " ", trim=False)
    assert found.values.to_pylist() == [" a ", None, None]
    assert (found.trimmed, found.null_words) == (0, 2)


def test_a_source_says_which_words_mean_nothing():
    found = clean("", "NULL", "-", " - ", null_words=("-",))
    assert found.values.to_pylist() == ["", "NULL", None, None]
    assert found.null_words == 2


@settings(max_examples=100)
@given(
    values=st.lists(st.none() | st.text(st.sampled_from("aNUL \xa0\u200bé\u4e00"), max_size=6), max_size=9),
    cut=st.integers(0, 9),
)
def test_every_text_is_what_python_makes_of_it(values, cut):
    whole = pa.array(["before", *values], pa.string())[1:]
    found = clean_texts(pa.chunked_array([whole[:cut], whole[cut:]], pa.string()), Dialect())
    bare = [None if value is None else value.strip(BLANKS) for value in values]
    assert found.values.to_pylist() == [None if value in NULL_WORDS else value for value in bare]
    assert found.null_words == sum(bool(v) and b in NULL_WORDS for v, b in zip(values, bare, strict=True))
    assert found.trimmed == sum(v != b and b not in NULL_WORDS for v, b in zip(values, bare, strict=True))
