"""What a schema says of its keys, for people."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from include.specs.groups import FeatureGroupSpec
from include.specs.models import load_model, model_ids
from include.specs.services import FeatureServiceSpec
from include.specs.sources import SourceSpec
from include.specs.spec_keys import KeyLine, spec_keys

MODELS = [type(load_model(model_id)) for model_id in model_ids()]


class Inner(BaseModel):
    """A section."""

    days: Annotated[int, Field(ge=1, lt=9, description="days")] = 7


class Outer(BaseModel):
    """A spec."""

    word: Annotated[str | None, Field(description="a word")] = None
    section: Inner
    many: list[Inner]
    named: dict[str, Inner] = Field(default_factory=dict)
    plain: dict[str, str] = Field(default_factory=dict)


def test_keys_of_sections_lists_and_mappings_are_told_with_bounds_and_defaults():
    days = ("integer", "≥ 1, < 9", "7", "days")
    assert spec_keys(Outer) == [
        KeyLine("word", "string or null", "", "null", "a word"),
        KeyLine("section.days", *days),
        KeyLine("many[].days", *days),
        KeyLine("named.NAME.days", *days),
        KeyLine("plain", "mapping", "", "{}", ""),
    ]


@pytest.mark.parametrize("schema", [*MODELS, FeatureGroupSpec, FeatureServiceSpec, SourceSpec])
def test_every_key_that_may_stand_in_a_spec_has_a_meaning(schema):
    assert [line.key for line in spec_keys(schema) if not line.meaning] == []
