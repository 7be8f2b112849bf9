"""A group is built by one at a time, whoever asks; groups are built side by side.

On a real PostgreSQL: a build has read the orders and is held up before it computes, as one of many days is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.adapters.state.state_store import StateStoreAdapter
from include.settings import Settings
from include.specs.sources import load_source
from include.steps import build_features as building
from include.steps.build_features import build_features
from include.steps.forget_person import forget_person
from include.steps.heal_features import heal_features
from tests.raw_orders import line, orders, publish_source
from tests.unit.steps.fakes import FakeDeployment

BEFORE, DAY, NEXT = "2024-01-01", "2024-01-02", "2024-01-03"
GROUP, OTHER, TABLE = "customer_daily", "order_risk", "features/customer_daily"
FIRST = [line(BEFORE), line(DAY)]


class Nothing:
    """An online store that holds nobody."""

    def forget(self, join_key: str, key: str) -> dict[str, int]:
        return {}


class Held:
    """A deployment in which a first build of the group is on its way and waits to be let go."""

    def __init__(self, deployment: Any, state_database: str) -> None:
        self.deployment = deployment
        self.has_read, self.go = threading.Event(), threading.Event()
        self.built: list[str] = []
        self._engine = sa.create_engine(state_database, poolclass=sa.NullPool)

    def build_partitions(self, deployment: Any, spec: Any, days: Any, **named: Any) -> Any:
        self.built += days
        if spec.group == GROUP and not self.has_read.is_set():
            self.has_read.set()
            assert self.go.wait(60)
        return self._build(deployment, spec, days, **named)

    _build = staticmethod(building.build_partitions)

    def break_locks(self) -> None:
        """Break the connections that hold one, as a server that starts anew does."""
        held = "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        holders = f"SELECT pg_terminate_backend(pid) FROM ({held}) AS held"
        with self._engine.connect() as connection:
            assert connection.execute(sa.text(holders)).fetchall() == [(True,)]

    def until_it_waits(self, second: Future[Any], *, count: int = 1) -> None:
        """Return once so many wait for their turn, or this one has not waited for it and is done."""
        waiting = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        deadline = time.monotonic() + 60
        while not second.done():
            with self._engine.connect() as connection:
                if connection.scalar(waiting) >= count:
                    return
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def held(tmp_path: Path, state_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    deployment = FakeDeployment(tmp_path / "lake")
    deployment.state = StateStoreAdapter(state_database)
    publish_source(deployment.lake, orders(*FIRST))
    build_features(deployment, GROUP, start=BEFORE, end=DAY)
    found = Held(deployment, state_database)
    monkeypatch.setattr(building, "build_partitions", found.build_partitions)
    yield found
    found.go.set()


def build(deployment: Any, group: str = GROUP) -> Any:
    return build_features(deployment, group, start=DAY, end=DAY)


def late(day: str, *orders_of_it: str) -> list[dict[str, Any]]:
    return [line(f"{day} 12:00:00", order=order) for order in orders_of_it]


def last_count(held: Held) -> int:
    """Return how many orders the newest row of the day knows."""
    rows = held.deployment.lake.read(TABLE, start=DAY, end=DAY).sort_by("created_timestamp").to_pylist()
    return int(rows[-1]["total_orders_30d"])


@pytest.mark.parametrize("second", [build, lambda deployment: heal_features(deployment, GROUP)], ids=["build", "heal"])
def test_who_waits_builds_from_what_has_come_meanwhile_and_who_read_before_does_not_undo_it(
    held: Held, second: Callable[[Any], Any]
) -> None:
    lake = held.deployment.lake
    with ThreadPoolExecutor(2) as two:
        first = two.submit(build, held.deployment)
        assert held.has_read.wait(60)
        publish_source(lake, orders(*FIRST, *late(DAY, "before it waits")))
        other = two.submit(second, held.deployment)
        held.until_it_waits(other)
        publish_source(lake, orders(*FIRST, *late(DAY, "before it waits", "while it waits")))
        held.go.set()
        first.result(60), other.result(60)
    assert last_count(held) == 4


def test_who_is_erased_is_not_brought_back_by_who_has_read_before(held: Held) -> None:
    deployment = held.deployment
    deployment.feature_store, deployment.settings = Nothing(), Settings.from_env({})
    publish_source(deployment.lake, orders(*FIRST, line(DAY, customer="gone")))
    source = load_source("orders")
    with ThreadPoolExecutor(3) as three:
        early = three.submit(build, deployment)
        assert held.has_read.wait(60)
        erasing = three.submit(forget_person, deployment, "gone", source=source, today=date(2024, 2, 1))
        held.until_it_waits(erasing)
        later = three.submit(build, deployment, OTHER)
        held.until_it_waits(later, count=2)
        held.go.set()
        early.result(60), later.result(60)
        assert erasing.result(60).rows == {"raw/orders": 1, TABLE: 1}
    assert "gone" not in deployment.lake.read(TABLE)["customer_id"].to_pylist()
    assert deployment.lake.read("features/order_risk").num_rows == 1


def test_another_group_is_built_meanwhile(held: Held) -> None:
    with ThreadPoolExecutor(1) as one:
        early = one.submit(build, held.deployment)
        assert held.has_read.wait(60)
        assert build(held.deployment, OTHER).rows == 1
        assert not early.done()
        held.go.set()
        assert early.result(60).rows == 1


def test_a_night_waits_for_one_portion_of_a_heal_which_reads_anew_for_the_next(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.steps.heal_features._DAYS_PER_COMMIT", 1)
    lake, first = held.deployment.lake, [*FIRST, line(NEXT), *late(BEFORE, "corrected")]
    publish_source(lake, orders(*first))
    with ThreadPoolExecutor(2) as two:
        healing = two.submit(heal_features, held.deployment, GROUP)
        assert held.has_read.wait(60)
        night = two.submit(build_features, held.deployment, GROUP, start=NEXT, end=NEXT)
        held.until_it_waits(night)
        publish_source(lake, orders(*first, *late(DAY, "meanwhile")))
        held.go.set()
        night.result(60), healing.result(60)
    assert held.built == [BEFORE, NEXT, DAY]
    assert last_count(held) == 4


def test_a_build_that_has_lost_its_lock_has_built_all_the_same(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(1) as one:
        early = one.submit(build, held.deployment)
        assert held.has_read.wait(60)
        held.break_locks()
        held.go.set()
        assert early.result(60).rows == 1
    assert f"building {GROUP}: the lock was lost before its end" in caplog.text
