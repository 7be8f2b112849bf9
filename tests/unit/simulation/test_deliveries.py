from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include import partitions
from include.errors import UsageError
from include.simulation.baskets import ORDER_LINES
from include.simulation.deliveries import Arrival, arrivals_of, check_incidents
from include.simulation.incidents import MEANINGS, parse_incident
from include.simulation.shop import ShopDay
from tests.unit.simulation.closed_forms import SEEDS, STANDARD_ERRORS
from tests.unit.simulation.shops import sell_days

CLEAN = [name for name in ORDER_LINES.names if name != "received_at"]
# What comes right in the end.
MENDED = (
    "unit_error+1", "missing_customers+1", "renamed_column+1", "late_rows+2", "corrections+2", "missing_day+2",
    "double_delivery+0", "double_delivery+3",
)  # fmt: skip


@pytest.fixture(scope="module")
def day() -> ShopDay:
    """The last day on which something of every kind happened."""
    sold = next(one for one in reversed(sell_days(60)) if len(pc.unique(one.lines["kind"])) == 4)
    assert sold.lines.num_rows > 100
    return sold


def deliver(day: ShopDay, what: str, *, seed: int = 1) -> tuple[Arrival, ...]:
    """Deliver a day, with e.g. ``late_rows+2*0.5`` going wrong."""
    kind, *rest = what.replace("*", "+*").split("+")
    incident = parse_incident(f"{kind}@{day.day}" + "".join(r if r.startswith("*") else f"+{r}" for r in rest))
    return arrivals_of(day, incident, np.random.default_rng(seed))


def read_in_the_end(arrivals: tuple[Arrival, ...]) -> pa.Table:
    """Return what a reader has when all has arrived, but for received_at, sorted.

    A file replaces the one of its name; a file without customer_id can't be read, a row without one is set
    aside; of an order line the newest stays, and one that doesn't say when it was received was at its day's end.
    """
    files = {(a.day, a.name): a.rows for a in sorted(arrivals, key=lambda a: a.night)}
    readable = [rows for rows in files.values() if rows.schema == ORDER_LINES]
    rows = pa.concat_tables(readable)
    rows = rows.filter(pc.is_valid(rows["customer_id"]))
    at_days_end = pc.add(pc.floor_temporal(rows["ordered_at"], unit="day"), pa.scalar(timedelta(days=1)))
    rows = rows.append_column("known_at", pc.coalesce(rows["received_at"], at_days_end))
    newest = rows.group_by(["order_id", "line"]).aggregate([("known_at", "max")])
    stays = rows.join(newest, ["order_id", "line"]).filter(pc.field("known_at") == pc.field("known_at_max"))
    return in_order(stays.group_by(CLEAN).aggregate([]))


def in_order(lines: pa.Table) -> pa.Table:
    return lines.select(CLEAN).sort_by([("order_id", "ascending"), ("line", "ascending")]).combine_chunks()


def places(arrivals: tuple[Arrival, ...], day: str) -> list[tuple[int, int, str]]:
    """Return night, folder and file of each, the days counted from `day`."""
    return [(partitions.days_between(day, a.night), partitions.days_between(day, a.day), a.name) for a in arrivals]


def test_a_day_on_which_nothing_goes_wrong_arrives_as_it_was(day):
    [arrival] = arrivals_of(day, None, np.random.default_rng(1))
    assert arrival == Arrival(day.day, day.day, "orders", day.lines)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("what", MENDED)
def test_what_has_arrived_in_the_end_is_what_happened(day, what, seed):
    assert read_in_the_end(deliver(day, what, seed=seed)) == in_order(day.lines)


@pytest.mark.parametrize("what", ["late_rows+2", "corrections+2", "unit_error+1", "missing_customers+1"])
def test_until_the_rest_arrives_it_is_not(day, what):
    assert read_in_the_end(deliver(day, what)[:1]) != in_order(day.lines)


def test_every_way_of_delivery_comes_right_above():
    assert {what.partition("+")[0] for what in MENDED} == {kind for kind in MEANINGS if not MEANINGS[kind].lasts}


PLACES = {
    "missing_day+2": lambda day: [(2, 0, "orders")],
    "double_delivery+0": lambda day: [(0, 0, "orders"), (0, 0, f"again-{day}")],
    "double_delivery+3": lambda day: [(0, 0, "orders"), (3, 3, f"again-{day}")],
    "renamed_column+1": lambda day: [(0, 0, "orders"), (1, 0, "orders")],
    "late_rows+2": lambda day: [(0, 0, "orders"), (2, 2, f"late-{day}")],
    "corrections+2": lambda day: [(0, 0, "orders"), (2, 2, f"corrected-{day}")],
    "unit_error+1": lambda day: [(0, 0, "orders"), (1, 1, f"corrected-{day}")],
    "missing_customers+1": lambda day: [(0, 0, "orders"), (1, 1, f"corrected-{day}")],
    "unit_error": lambda day: [(0, 0, "orders")],
    "missing_customers": lambda day: [(0, 0, "orders")],
    "renamed_column": lambda day: [(0, 0, "orders")],
}


@pytest.mark.parametrize(("what", "expected"), PLACES.items(), ids=PLACES)
def test_files_arrive_on_their_nights_in_their_folders(day, what, expected):
    assert places(deliver(day, what), day.day) == expected(day.day)


@pytest.mark.parametrize("what", ["late_rows+2", "corrections+2", "unit_error+1", "missing_customers+1"])
def test_rows_that_come_later_say_that_they_were_received_then(day, what):
    first, later = deliver(day, what)
    assert first.rows["received_at"].null_count == first.rows.num_rows
    assert set(later.rows["received_at"].to_pylist()) == {partitions.end_of(later.night)}


@pytest.mark.parametrize("what", ["missing_day+2", "double_delivery+3", "renamed_column+1"])
def test_a_whole_file_that_comes_later_does_not_say_when(day, what):
    rows = deliver(day, what)[-1].rows
    assert rows == day.lines


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("what", "share"), [("late_rows+2*0.3", 0.3), ("corrections+2*0.3", 0.3), ("missing_customers+1*0.3", 0.3)]
)
def test_about_the_share_is_concerned(day, what, share, seed):
    n, concerned = day.lines.num_rows, deliver(day, what, seed=seed)[1].rows.num_rows
    assert abs(concerned - n * share) < STANDARD_ERRORS * np.sqrt(n * share * (1 - share))


def test_late_rows_are_missing_at_first(day):
    first, later = deliver(day, "late_rows+2")
    assert later.rows.num_rows > 0
    assert in_order(pa.concat_tables([first.rows, later.rows])) == in_order(day.lines)


def test_rows_to_be_corrected_have_half_as_much_again_for_a_piece_more(day):
    first, later = deliver(day, "corrections+2")
    was = {(row["order_id"], row["line"]): row for row in later.rows.to_pylist()}
    wrong = [row for row in first.rows.to_pylist() if (row["order_id"], row["line"]) in was]
    assert len(wrong) == len(was) > 0
    for row in wrong:
        right = was[row["order_id"], row["line"]]
        assert row["unit_price"] == right["unit_price"] * 1.5
        assert row["quantity"] == right["quantity"] + (1 if right["quantity"] > 0 else -1)
        assert all(row[name] == right[name] for name in CLEAN if name not in ("unit_price", "quantity"))


def test_rows_that_need_no_correction_are_right_at_first(day):
    first, later = deliver(day, "corrections+2")
    mended = set(zip(*(later.rows[n].to_pylist() for n in ("order_id", "line")), strict=True))
    for row, true in zip(first.rows.to_pylist(), day.lines.to_pylist(), strict=True):
        assert (row == true) == ((row["order_id"], row["line"]) not in mended)


@pytest.mark.parametrize("factor", [100, 0.01])
def test_a_unit_error_is_in_every_price_and_nowhere_else(day, factor):
    wrong = deliver(day, f"unit_error+1*{factor}")[0].rows
    np.testing.assert_allclose(wrong["unit_price"].to_numpy(), factor * day.lines["unit_price"].to_numpy(), rtol=1e-12)
    others = [name for name in CLEAN if name != "unit_price"]
    assert wrong.select(others) == day.lines.select(others)


def test_missing_customers_are_missing_and_nothing_else_is(day):
    first, later = deliver(day, "missing_customers+1*0.3")
    assert first.rows["customer_id"].null_count == later.rows.num_rows > 0
    assert later.rows["customer_id"].null_count == 0
    others = [name for name in CLEAN if name != "customer_id"]
    assert first.rows.select(others) == day.lines.select(others)


def test_a_renamed_column_is_another_name_for_the_same_values(day):
    rows = deliver(day, "renamed_column")[0].rows
    names = ["customer" if name == "customer_id" else name for name in ORDER_LINES.names]
    assert rows.column_names == names
    assert rows.rename_columns(ORDER_LINES.names) == day.lines


def test_the_same_draws_concern_the_same_rows(day):
    assert deliver(day, "corrections+2", seed=3) == deliver(day, "corrections+2", seed=3)
    assert deliver(day, "corrections+2", seed=3) != deliver(day, "corrections+2", seed=4)


@pytest.mark.parametrize("what", MENDED)
def test_a_day_without_orders_arrives_as_files_without_rows(day, what):
    empty = ShopDay(day.day, day.lines.slice(0, 0), day.truth.slice(0, 0))
    arrivals = deliver(empty, what)
    assert arrivals
    assert {a.rows.num_rows for a in arrivals} == {0}


NIGHTS = partitions.span("2026-03-14", "2026-03-30")
SHOP = {"start": "2024-04-13", "end": NIGHTS[-1], "nights": NIGHTS}

POSSIBLE = {
    "what lasts, in the history": ("price_drift@2025-01-01",),
    "what lasts, on the first day": ("campaign@2024-04-13",),
    "a delivery on the first night": ("missing_day@2026-03-14",),
    "mended on the last night": ("late_rows@2026-03-28+2",),
    "never mended on the last night": ("unit_error@2026-03-30",),
    "two that last on one day": ("price_drift@2026-03-20", "campaign@2026-03-20"),
    "one that lasts and one delivery's on one day": ("price_drift@2026-03-20", "late_rows@2026-03-20"),
    "two that arrive on one night": ("late_rows@2026-03-20+2", "corrections@2026-03-21+1"),
}


@pytest.mark.parametrize("texts", POSSIBLE.values(), ids=POSSIBLE)
def test_incidents_that_can_happen_are_taken(texts):
    check_incidents([parse_incident(text) for text in texts], **SHOP)


IMPOSSIBLE = {
    "before the shop opens": (("price_drift@2024-04-12",), ("price_drift@2024-04-12", "2024-04-13 … 2026-03-30")),
    "after its last day": (("campaign@2026-03-31",), ("campaign@2026-03-31", "2024-04-13 … 2026-03-30")),
    "a delivery in the history": (
        ("late_rows@2026-03-13",),
        ("late_rows@2026-03-13", "not on a night that is delivered", "2026-03-14 … 2026-03-30"),
    ),
    "mended after the last night": (
        ("late_rows@2026-03-29+2",),
        ("late_rows@2026-03-29+2", "2026-03-31", "2026-03-30", "fewer DAYS"),
    ),
    "mended after the calendar's last day": (("late_rows@2026-03-20+9999999",), ("+9,999,999 days", "calendar")),
    "mended in a delivery that is missing": (
        ("late_rows@2026-03-20+2", "missing_day@2026-03-22"),
        ("late_rows@2026-03-20+2", "2026-03-22", "missing_day", "choose another day"),
    ),
    "two deliveries' on one day": (
        ("late_rows@2026-03-20", "corrections@2026-03-20"),
        ("2026-03-20", "late_rows", "corrections", "keep one"),
    ),
}


@pytest.mark.parametrize(("texts", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_incidents_that_can_not_happen_are_refused_in_words(texts, words):
    with pytest.raises(UsageError) as refused:
        check_incidents([parse_incident(text) for text in texts], **SHOP)
    for word in words:
        assert word in str(refused.value)


def test_a_delivery_can_not_go_wrong_where_no_night_is_delivered():
    with pytest.raises(UsageError, match=r"none; ask for some with --nights"):
        check_incidents([parse_incident("late_rows@2026-03-20")], start="2024-04-13", end=NIGHTS[-1], nights=())
