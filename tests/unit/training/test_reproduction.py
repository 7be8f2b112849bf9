"""What is not as it was is named, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from include.training.reproduction import Compared, compare_circumstances, tell_cause, tell_difference
from tests.unit.training.examples_builder import PROVENANCE, make_examples, make_manifest, make_spec

DEFINITIONS = {"label churn": "aa", "feature service churn_v1": "bb"}
LIBRARIES = {"numpy": "2.0", "xgboost": "3.2"}
MANIFEST = replace(make_manifest(make_spec(), make_examples(entities=5)), definitions=DEFINITIONS, libraries=LIBRARIES)


def compare(manifest=MANIFEST, provenance=PROVENANCE, definitions=DEFINITIONS, libraries=LIBRARIES):
    return compare_circumstances(manifest, provenance, definitions=definitions, libraries=libraries)


def test_nothing_is_named_where_all_is_as_it_was():
    assert compare() == ()
    assert tell_cause(()).startswith("nothing that is on record explains it")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"provenance": replace(PROVENANCE, code_commit="bad")}, "the code was c0ffee, is bad"),
        ({"provenance": replace(PROVENANCE, lock_sha256="bad")}, "the lock of the libraries was 10c4, is bad"),
        (
            {"provenance": replace(PROVENANCE, code_changed=True)},
            "the code was c0ffee, is c0ffee with local changes",
        ),
        ({"libraries": {**LIBRARIES, "xgboost": "3.4"}}, "xgboost was 3.2, is 3.4"),
        ({"definitions": {**DEFINITIONS, "label churn": "cc"}}, "label churn was sha256 aa, is sha256 cc"),
        ({"definitions": {"label churn": "aa"}}, "feature service churn_v1 was sha256 bb, is absent"),
    ],
    ids=["commit", "lock", "local changes", "library", "label", "service"],
)
def test_what_is_not_as_it_was_is_named(given, told):
    (found,) = compare(**given)
    assert str(found) == told
    assert tell_cause((found,)) == f"not as it was: {told}"


@pytest.mark.parametrize(
    "then",
    [
        replace(PROVENANCE, code_commit="unknown"),
        replace(PROVENANCE, lock_sha256="unknown"),
        replace(PROVENANCE, code_changed=True),
    ],
    ids=["commit", "lock", "local changes"],
)
def test_what_was_never_known_is_not_taken_for_equal(then):
    (found,) = compare(replace(MANIFEST, provenance=then), then)
    assert found.then == found.now


def test_what_a_manifest_does_not_say_is_not_compared():
    older = replace(MANIFEST, definitions={}, libraries={})
    assert compare(older) == ()
    assert compare(older, replace(PROVENANCE, image_digest="sha256:1")) == ()


def test_only_what_was_built_again_can_differ():
    assert tell_difference("model.ubj", Compared("aa", "aa", "aa"), ()) == []
    assert tell_difference("model.ubj", Compared("aa", "aa", None), ()) == []
    (told,) = tell_difference("model.ubj", Compared("aa", "aa", "bb"), compare(libraries={}))
    assert told.startswith("model.ubj has sha256 bb when it is built again, and aa is on record; not as it was: numpy")
    assert not Compared(None).is_reproduced
