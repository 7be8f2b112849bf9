from __future__ import annotations

import re

import pytest

from include.specs.dialect import Dialect
from include.specs.time_patterns import compile_pattern


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"delimiter": ";;"}, ["delimiter ';;'", "allowed: ',', ';'"]),
        ({"delimiter": '"'}, ["delimiter '\"'"]),
        ({"decimal": "'"}, ['decimal "\'"', "allowed: '.', ','"]),
        ({"thousands": "x"}, ["thousands 'x'"]),
        ({"decimal": ",", "thousands": ","}, ["both ','"]),
        ({"encoding": "latin1-ish"}, ["encoding 'latin1-ish'", "such as utf-8, latin-1"]),
        ({"encoding": "rot13"}, ["encoding 'rot13'"]),
        ({"time_patterns": ("%d.%m.%Y", "%x")}, ["'%x' has %x; allowed: %Y"]),
    ],
)
def test_what_is_not_allowed_is_named_with_what_is(changes, parts):
    with pytest.raises(ValueError, match=r"allowed|both") as caught:
        Dialect(**changes)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("extension", "separator"), [(".csv", ","), (".csv.gz", ","), (".tsv", "\t"), (".tsv.zst", "\t")]
)
def test_a_files_name_says_what_stands_between_values_unless_its_source_does(extension, separator):
    assert Dialect().separator(extension) == separator
    assert Dialect(delimiter=";").separator(extension) == ";"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%H:%M",
        "%d.%m",
        "%d.%m.%Y %d",
        "%Y-%m-%d %b",
        "%Y-%m-%d %M",
        "%Y-%m-%d %I",
        "%Y-%m-%d %H %p",
        "%",
        "%Y-%d-%m",
    ],
)
def test_a_pattern_that_names_no_one_instant_is_refused(text):
    with pytest.raises(ValueError, match="time pattern"):
        compile_pattern(text)


def test_a_pattern_matches_a_time_as_a_whole():
    expression = compile_pattern("%d.%m.%Y (%H:%M)").expression
    assert re.match(expression, "1.12.2011 (8:05)").groupdict() == {
        "day": "1", "month": "12", "year": "2011", "hour": "8", "minute": "05",
    }  # fmt: skip
    assert not re.match(expression, "1x12.2011 (8:05)")
    assert not re.match(expression, "1.12.2011 (8:05) ")
