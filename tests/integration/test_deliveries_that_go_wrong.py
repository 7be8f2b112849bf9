"""Late, corrected, missing and doubled deliveries leave the tables of a shop in which all came right at once.

But for when it was learned: ``received_at`` of an order line, ``created_timestamp`` of a feature row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include import partitions
from include.adapters.lake.row_digest import digest
from include.adapters.sources.deliveries import delivered_days
from include.errors import RefusedError, UsageError
from include.features.versions import newest_versions
from include.simulation.incidents import parse_incident
from include.simulation.world import World
from include.steps.build_features import build_features
from include.steps.generate_orders import deliver_night, generate_orders
from include.steps.heal_features import heal_features
from include.steps.import_source import import_delivery, import_file
from tests.deployments import lake_only
from tests.everyday import members
from tests.raw_orders import SOURCE

START, END, NIGHTS = "2026-01-01", "2026-02-12", 4
DAY = "2026-02-09"
GROUP = "customer_daily"
# What happens to which day, and the night on which everything is right again.
INCIDENTS = {
    "late rows": ("late_rows@2026-02-09+2", "2026-02-11"),
    "corrections": ("corrections@2026-02-09+3*0.3", "2026-02-12"),
    "a missing day": ("missing_day@2026-02-09+2", "2026-02-11"),
    "a double delivery in one night": ("double_delivery@2026-02-09", DAY),
    "a double delivery later": ("double_delivery@2026-02-09+2", "2026-02-11"),
    "a unit error put right": ("unit_error@2026-02-09+1", "2026-02-10"),
    "missing customers sent again": ("missing_customers@2026-02-09+1", "2026-02-10"),
    "a renamed column sent again": ("renamed_column@2026-02-09+2", "2026-02-11"),
}
EVERY_DAY = ("late rows", "a unit error put right")


def run(folder: Path, *incidents: str) -> SimpleNamespace:
    """Generate a shop and let its nights arrive; a night that can't be taken is tried again on the next ones."""
    made = generate_orders(
        folder / "shop",
        seed=5,
        start=START,
        end=END,
        nights=NIGHTS,
        incidents=[parse_incident(text) for text in incidents],
        world=World(arrivals_per_day=6.0),
    )
    deployment = lake_only(folder)
    assert made.history is not None
    assert made.history_end is not None
    as_of = partitions.end_of(made.history_end)
    import_file(deployment, made.history, source="orders", as_of=as_of)
    build_features(deployment, GROUP, start=made.history_end, end=made.history_end)
    to_import: list[str] = []
    to_build: list[str] = []
    for night in made.nights:
        deliver_night(made.history.parent / "arrivals", night, folder / "landing")
        to_import, to_build = [*to_import, night], [*to_build, night]
        to_import = [day for day in to_import if not is_imported(deployment, day)]
        to_build = [day for day in to_build if not is_built(deployment, day)]
    assert (to_import, to_build) == ([], [])
    return deployment


def is_imported(deployment: SimpleNamespace, day: str) -> bool:
    if not (Path(deployment.settings.home) / "landing" / "orders" / f"dt={day}" / "_SUCCESS").exists():
        return False
    try:
        import_delivery(deployment, day, source="orders", cross_check=False)
    except UsageError:
        return False
    return True


def is_built(deployment: SimpleNamespace, day: str) -> bool:
    try:
        build_features(deployment, GROUP, start=day, end=day)
        heal_features(deployment, GROUP)
    except RefusedError:
        return False
    return True


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return run(tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SimpleNamespace]:
    @cache
    def after(incident: str) -> SimpleNamespace:
        return run(tmp_path_factory.mktemp("harmed"), incident)

    return after


def orders_of(deployment: SimpleNamespace) -> str:
    return digest(deployment.lake.read("raw/orders").drop_columns(["received_at"]))


def features_of(deployment: SimpleNamespace) -> str:
    newest = newest_versions(deployment.lake.read(f"features/{GROUP}"), keys=("customer_id",))
    return digest(newest.drop_columns(["created_timestamp"]))


def known_at(deployment: SimpleNamespace) -> pa.Table:
    rows = deployment.lake.read(f"features/{GROUP}", columns=["customer_id", "event_timestamp", "created_timestamp"])
    return rows.filter(pc.greater(rows["created_timestamp"], rows["event_timestamp"]))


@pytest.mark.parametrize("name", members(INCIDENTS, daily=EVERY_DAY))
def test_the_tables_equal_those_of_a_shop_in_which_all_came_right(clean, harmed, name):
    incident, mended = INCIDENTS[name]
    shop = harmed(incident)
    assert orders_of(shop) == orders_of(clean)
    features = f"features/{GROUP}"
    assert shop.lake.partitions(features) == clean.lake.partitions(features)
    assert features_of(shop) == features_of(clean)
    assert delivered_days(shop.lake, SOURCE) == delivered_days(clean.lake, SOURCE)
    learned = known_at(shop)
    assert set(learned["created_timestamp"].to_pylist()) <= {partitions.end_of(mended)}
    assert all(
        partitions.start_of(DAY) < at <= partitions.end_of(mended) for at in learned["event_timestamp"].to_pylist()
    )


@pytest.mark.parametrize(
    "name",
    members(
        ["late rows", "corrections", "a unit error put right", "missing customers sent again"],
        daily=EVERY_DAY,
    ),
)
def test_rows_that_came_later_say_when(clean, harmed, name):
    incident, mended = INCIDENTS[name]
    shop = harmed(incident)
    usual = partitions.end_of(DAY)
    received = shop.lake.read("raw/orders", start=DAY, end=DAY)["received_at"].to_pylist()
    assert set(received) == {usual, partitions.end_of(mended)} or name == "a unit error put right"
    assert partitions.end_of(mended) in received
    assert known_at(shop).num_rows > 0
    assert known_at(clean).num_rows == 0


def test_until_a_correction_comes_the_tables_differ(clean, harmed):
    broken = harmed("unit_error@2026-02-09")
    assert orders_of(broken) != orders_of(clean)
    assert features_of(broken) != features_of(clean)


def test_what_was_believed_before_a_correction_stays_in_the_table(harmed):
    shop, unmended = harmed(INCIDENTS["a unit error put right"][0]), harmed("unit_error@2026-02-09")
    rows = shop.lake.read(f"features/{GROUP}", start=DAY, end=DAY)
    before = rows.filter(pc.equal(rows["created_timestamp"], rows["event_timestamp"]))
    assert before.num_rows < rows.num_rows
    assert digest(before) == digest(unmended.lake.read(f"features/{GROUP}", start=DAY, end=DAY))
