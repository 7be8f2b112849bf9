"""The engine of a version's nights follows from what was measured, and is kept."""

from __future__ import annotations

import json

import pytest

from include.errors import MlopsError
from include.scoring import engine_choice
from include.scoring.engine_choice import EngineChoice, Measured

NATIVE = Measured(2.0, 0.0)


def choice(**others: Measured) -> EngineChoice:
    return EngineChoice({"native": NATIVE, **others})


@pytest.mark.parametrize(
    ("onedal", "engine"),
    [
        (Measured(1.0, 1e-7), "onedal"),
        (Measured(1.0, 2e-6), "native"),
        (Measured(1.0, float("nan")), "native"),
        (Measured(1.7, 0.0), "native"),
    ],
    ids=["faster and equal", "other scores", "no number", "hardly faster"],
)
def test_nights_are_scored_by_the_fastest_engine_that_has_the_native_scores(onedal, engine):
    assert choice(onnx=Measured(3.0, 0.0), onedal=onedal).engine == engine


def test_of_two_that_are_faster_the_faster_one_is_chosen():
    assert choice(onnx=Measured(1.5, 0.0), onedal=Measured(0.5, 0.0)).engine == "onedal"


@pytest.mark.parametrize(("installed", "engine"), [(True, "onedal"), (False, "native")])
def test_native_stands_in_where_the_chosen_engine_is_not_installed(monkeypatch, installed, engine):
    monkeypatch.setattr(engine_choice, "is_installed", lambda: installed)
    assert choice(onedal=Measured(0.5, 0.0)).usable == engine


def test_what_is_kept_is_the_choice_itself_and_says_what_was_chosen():
    kept = choice(onedal=Measured(0.5, 1e-7))
    told = json.dumps(kept.to_file()).encode()
    assert json.loads(told)["engine"] == "onedal"
    assert EngineChoice.from_json(told) == kept
    assert "**onedal**; by native where that is not installed" in kept.to_card()


def test_what_is_no_choice_is_refused():
    with pytest.raises(MlopsError, match="these are no engines of a version"):
        EngineChoice.from_json(b'{"measured": {"abacus": 1}}')
