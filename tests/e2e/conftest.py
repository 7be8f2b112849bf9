"""One home with a version in Production, and one night of it, for all tests that go on from there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from include.adapters.deployment import Deployment
from include.embedded.api import AirflowApi
from include.embedded.supervisor import EmbeddedAirflow
from include.settings import Settings
from tests.e2e.killing import Killed, play
from tests.e2e.loop import NIGHT, UNHURRIED, WRITE_BACK, Loop, bring_into_production
from tests.e2e.watched import add_watching_dag
from tests.shop import write_overlay


@pytest.fixture(scope="package")
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
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**UNHURRIED, **add_watching_dag(folder)}.items():
            patch.setenv(name, value)
        address = airflow.start()
    try:
        started = Loop(Deployment(settings), AirflowApi(address.url, address.password))
        bring_into_production(started, folder)
        yield started
    finally:
        airflow.stop()


@pytest.fixture(scope="package")
def killed(loop: Loop) -> Killed:
    """One keyed night has run through the chain while every part died once, and the training it asked for has ended."""
    loop.api.unpause(WRITE_BACK)
    played = play(loop)
    loop.until(lambda: len(loop.trainings()) == 2, "the second training")
    loop.until(lambda: len(loop.waiting()) == 1, "the second approval")
    loop.until(lambda: NIGHT in loop.deployment.state.publications("online/churn_scores"), "the write-back")
    loop.api.unpause(WRITE_BACK, paused=True)
    return played


@pytest.fixture(scope="package")
def night(killed: Killed) -> Loop:
    """The loop after that night."""
    return killed.loop
