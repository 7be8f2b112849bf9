"""What `feature_repo` declares to Feast is what the specs say."""

from __future__ import annotations

import importlib

import pytest

from include.specs.services import load_feature_services


@pytest.fixture(scope="module")
def declared():
    return importlib.import_module("feature_repo.feature_services").SERVICES


@pytest.mark.parametrize("spec", load_feature_services(), ids=lambda spec: spec.service)
def test_a_service_is_declared_view_by_view_and_column_by_column(declared, spec):
    service = declared[spec.service]
    assert (service.name, service.description, service.owner) == (spec.service, spec.description, spec.owner)
    assert [
        (view.name, tuple(feature.name for feature in view.features)) for view in service.feature_view_projections
    ] == list(spec.features.items())


def test_nothing_else_is_declared(declared):
    assert sorted(declared) == [spec.service for spec in load_feature_services()]
