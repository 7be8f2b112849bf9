"""One home with a version in Production, for all tests that go on from there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.adapters.deployment import Deployment
from include.embedded.api import AirflowApi
from include.embedded.supervisor import EmbeddedAirflow
from include.settings import Settings
from tests.e2e.loop import Loop, bring_into_production
from tests.shop import write_overlay


@pytest.fixture(scope="session")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("e2e")
    settings = Settings.from_env(
        {
            "MLOPS_HOME": str(folder / "home"),
            "MLOPS_SPECS": str(write_overlay(folder / "overlay")),
            "MLOPS_USERS": "admin:admin,ada:user",
        }
    )
    airflow = EmbeddedAirflow(settings, say=print)
    address = airflow.start()
    try:
        started = Loop(Deployment(settings), AirflowApi(address.url, address.password))
        bring_into_production(started, folder)
        yield started
    finally:
        airflow.stop()
