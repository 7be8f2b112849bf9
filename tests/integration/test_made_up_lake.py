"""What the benchmarks have in the place of a home's parts is asked as those are."""

from __future__ import annotations

from inspect import Parameter, signature

import pytest

from benchmarks import memory
from benchmarks.made_up_lake import _OneVersion, _State
from include.adapters.registry.model_registry import ModelRegistryAdapter
from include.adapters.state.state_store import StateStoreAdapter


def _parameters(function: object) -> list[tuple[str, object, object]]:
    found = signature(function).parameters.values()  # type: ignore[arg-type]
    return [("self" if p.name == "self" else p.name.strip("_"), p.kind, p.default) for p in found]


@pytest.mark.parametrize(("stand_in", "part"), [(_State, StateStoreAdapter), (_OneVersion, ModelRegistryAdapter)])
def test_a_stand_in_takes_what_the_part_takes(stand_in, part):
    methods = [name for name in vars(stand_in) if not name.startswith("_")]
    assert methods
    for name in methods:
        theirs, ours = _parameters(getattr(part, name)), _parameters(getattr(stand_in, name))
        assert [p[1:] for p in theirs] == [p[1:] for p in ours], name
        keywords = [[p for p in each if p[1] is Parameter.KEYWORD_ONLY] for each in (theirs, ours)]
        assert keywords[0] == keywords[1], name


@pytest.mark.thorough
@pytest.mark.parametrize("size", memory.sizes(0.0001)[3::5], ids=lambda size: size.name)
def test_each_thing_whose_memory_is_measured_can_be_done(size, tmp_path):
    size.prepare(tmp_path)
    size.run(tmp_path)
