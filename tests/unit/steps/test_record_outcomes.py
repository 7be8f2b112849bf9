"""What becomes of whom a model scored is recorded as it becomes known, whatever order nights are recorded in.

A shop of 40 customers who order at random, some of whose orders come days late. What should be there is counted by hand
from the orders: the label of a customer and a night by what had been received at an instant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml
from click.testing import CliRunner

from include import partitions
from include.adapters.lake import portions
from include.adapters.lake.delta_lake import LakeAdapter
from include.cli.outcomes import outcomes
from include.errors import NotYetError, RefusedError, UnpublishedError
from include.refs import OutcomesRef
from include.specs.models import load_model
from include.steps.read_outcomes import count_known
from include.steps.record_outcomes import record_outcomes
from include.tables import outcomes_table, predictions_table
from tests.deployments import lake_only
from tests.everyday import members
from tests.raw_orders import line, orders, publish_source

MODEL, HORIZON = "churn", 5
FIRST, DAYS, CUSTOMERS = "2024-03-01", 16, 40
ALL = partitions.span(FIRST, partitions.shift(FIRST, DAYS - 1))
SCORED, NIGHTS = ALL[4:8], ALL[5:]
Row = tuple[str, date, int | None, datetime]


@pytest.fixture(scope="module", autouse=True)
def specs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("specs")
    (folder / "churn.yaml").write_text(yaml.safe_dump({"label": {"horizon_days": HORIZON}}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(folder))
        yield


def made_orders() -> pa.Table:
    """Return orders of which a quarter come up to 11 days late, and one on each day at once."""
    rng = np.random.default_rng(4)
    lines = [line(f"{day}T06:00:00", customer="nobody") for day in ALL]
    for day in ALL:
        for customer in np.flatnonzero(rng.random(CUSTOMERS) < 0.1):
            made = line(f"{day}T{rng.integers(8, 20):02}:00:00", customer=f"c{customer:02}")
            late = int(rng.integers(1, 12)) * int(rng.random() < 0.25)
            lines.append({**made, "received_at": made["received_at"] + timedelta(days=late)})
    return orders(*lines)


def scores(nights: Iterable[str]) -> pa.Table:
    """Return predictions of every customer, in two roles."""
    spec = load_model(MODEL)
    schema = predictions_table(MODEL, spec.entity.keys, spec.entity.whose, spec.predicted).arrow_schema()
    rows = [
        {
            "customer_id": f"c{customer:02}", "dt": partitions.parse(night), "role": role, "score": 0.5,
            "decision": True, "model_version": 1, "feature_event_timestamp": partitions.end_of(night),
            "feature_created_timestamp": partitions.end_of(night),
        }
        for night in nights for role in ("champion", "challenger") for customer in range(CUSTOMERS)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema)


def publish_scores(deployment: Any, nights: list[str]) -> None:
    written = deployment.lake.replace(f"predictions/{MODEL}", scores(nights), keys=nights)
    deployment.state.record_publications(f"predictions/{MODEL}", [(n, 2 * CUSTOMERS) for n in nights], written.version)


def deployed(folder: Path, raw: pa.Table) -> Any:
    made = lake_only(folder)
    publish_source(made.lake, raw)
    publish_scores(made, SCORED)
    return made


def record(deployment: Any, nights: Iterable[str]) -> list[OutcomesRef]:
    return [record_outcomes(deployment, MODEL, partition=night) for night in nights]


def rows(deployment: Any) -> list[Row]:
    found = deployment.lake.dataset(f"outcomes/{MODEL}").to_table()
    on = pc.subtract(found["known_at"], pa.scalar(timedelta(microseconds=1))).cast(pa.date32())
    assert found["known_on"].equals(on)
    names = ("customer_id", "dt", "label", "known_at")
    return sorted(
        (tuple(row[name] for name in names) for row in found.to_pylist()), key=lambda row: (row[0], row[1], row[3])
    )


def by_hand(raw: pa.Table, until: str) -> list[Row]:
    """Return what every night had told by its end, from the first on: an order when it came, none at the horizon."""
    found: list[Row] = []
    for customer in (f"c{n:02}" for n in range(CUSTOMERS)):
        mine = raw.filter(pc.equal(raw["customer_id"], customer)).to_pylist()
        for night in SCORED:
            start = partitions.end_of(night)
            end = start + timedelta(days=HORIZON)
            came = min([o["received_at"] for o in mine if start <= o["ordered_at"] < end], default=None)
            told = [] if came is not None and came <= end else [(1, end)]
            told += [] if came is None else [(0, came)]
            found += [(customer, start.date() - timedelta(days=1), *each) for each in told]
    return [row for row in found if row[3] <= partitions.end_of(until)]


@pytest.fixture(scope="module")
def in_order(specs: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, tuple[int, list[Row]]]]:
    """Return a deployment whose nights were recorded one after the other, and what each added and left."""
    deployment = deployed(tmp_path_factory.mktemp("in_order"), made_orders())
    return deployment, {night: (record(deployment, [night])[0].added, rows(deployment)) for night in NIGHTS}


def test_every_night_adds_what_became_known_then(in_order):
    raw, (_, left) = made_orders(), in_order
    for night, (added, found) in left.items():
        assert found == by_hand(raw, night)
        assert added == sum(row[3] > partitions.start_of(night) for row in found)
    labels = [label for *_, label, _ in left[NIGHTS[-1]][1]]
    assert len(labels) > len(SCORED) * CUSTOMERS, "nothing was corrected"
    assert set(labels) == {0, 1}


ORDERS: dict[str, list[str]] = {
    "twice": [night for night in NIGHTS for _ in range(2)],
    "backwards": NIGHTS[::-1],
    "shuffled": list(np.random.default_rng(2).permutation(NIGHTS)),
}


@pytest.mark.parametrize("order", members(ORDERS, daily=["shuffled"]))
def test_nights_in_any_order_leave_the_same_rows(order, tmp_path):
    raw = made_orders()
    deployment = deployed(tmp_path, raw)
    record(deployment, map(str, ORDERS[order]))
    assert rows(deployment) == by_hand(raw, NIGHTS[-1])


def test_a_night_that_was_left_out_is_made_up_for_by_the_next(tmp_path):
    """But for a label that was corrected meanwhile, of which the last one is told."""
    raw = made_orders()
    deployment = deployed(tmp_path, raw)
    record(deployment, [NIGHTS[5], NIGHTS[-1]])
    found, wanted = rows(deployment), by_hand(raw, NIGHTS[-1])
    assert set(found) < set(wanted)
    assert {row[:2]: row for row in found} == {row[:2]: row for row in wanted}


def test_one_that_is_stopped_between_commits_is_completed_by_the_next_try(tmp_path, monkeypatch):
    raw = made_orders()
    deployment = deployed(tmp_path, raw)
    real, calls = LakeAdapter.update, []

    def die_after_the_second(self: LakeAdapter, table: str, *given: Any, **named: Any) -> Any:
        done = real(self, table, *given, **named)
        calls.append(table)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(portions, "ROWS_AT_ONCE", 2 * CUSTOMERS)
        patch.setattr(LakeAdapter, "update", die_after_the_second)
        with pytest.raises(KeyboardInterrupt):
            record(deployment, [NIGHTS[-1]])
    some = rows(deployment)
    record(deployment, NIGHTS)
    assert 0 < len(some) < len(rows(deployment))
    assert rows(deployment) == by_hand(raw, NIGHTS[-1])


def arrive(deployment: Any, raw: pa.Table, night: str) -> None:
    """Let what was received on a night come, into the days that it is of."""
    at = raw["received_at"]
    came = raw.filter(pc.and_(pc.greater(at, partitions.start_of(night)), pc.less_equal(at, partitions.end_of(night))))
    own = pa.concat_tables([orders(line(f"{night}T05:00:00", customer="shop")), came])
    if not deployment.lake.exists("raw/orders"):
        publish_source(deployment.lake, own)
        return
    publish_source(deployment.lake, own.filter(pc.equal(own["dt"], partitions.parse(night))))
    late = own.filter(pc.not_equal(own["dt"], partitions.parse(night)))
    days = sorted(map(str, late["dt"].unique().to_pylist()))
    if days:
        deployment.lake.update("raw/orders", days, lambda present: pa.concat_tables([present, late]))


def test_only_the_nights_that_can_have_learned_something_are_looked_at(tmp_path):
    """Those whose horizon is not over, and where a row came late those that it is within the horizon of."""
    raw = made_orders()
    deployment = lake_only(tmp_path)
    looked_at = {}
    for night in ALL:
        arrive(deployment, raw, night)
        if night in SCORED:
            publish_scores(deployment, [night])
        looked_at[night] = record_outcomes(deployment, MODEL, partition=night).nights
    assert rows(deployment) == by_hand(raw, NIGHTS[-1])
    for night in ALL:
        came = [
            str(row["dt"])
            for row in raw.to_pylist()
            if partitions.start_of(night) < row["received_at"] <= partitions.end_of(night)
        ]
        oldest = min([*came, night])
        within = [n for n in SCORED if partitions.shift(oldest, -HORIZON - 1) <= n < night]
        assert looked_at[night] <= len(within), night
    assert min(looked_at[night] for night in ALL[-4:]) < len(SCORED)


def test_who_is_scored_long_after_is_labelled_too(tmp_path):
    raw = made_orders()
    deployment = lake_only(tmp_path)
    publish_source(deployment.lake, raw)
    publish_scores(deployment, SCORED[1:])
    record(deployment, NIGHTS[:-1])
    publish_scores(deployment, SCORED[:1])
    record(deployment, NIGHTS[-1:])
    newest = {row[:2]: row for row in by_hand(raw, NIGHTS[-1])}
    assert {row[:2]: row for row in rows(deployment)} == newest


def test_a_label_that_is_corrected_is_another_row_and_the_one_before_it_stays(tmp_path):
    """An order turns out to be somebody else's: what was known of both is another thing from that night on."""
    day, at = ALL[8], f"{ALL[8]}T10:00:00"
    shop = [line(f"{each}T06:00:00", customer="nobody") for each in ALL]
    deployment = deployed(tmp_path, orders(*shop, line(at, customer="c03", order="o1")))
    night = ALL[14]
    record(deployment, [partitions.shift(night, -1)])
    before = rows(deployment)
    known = partitions.end_of(day)
    assert ("c03", date.fromisoformat(SCORED[0]), 0, known) in before
    corrected = {**line(at, customer="c04", order="o1"), "received_at": partitions.end_of(night)}
    publish_source(deployment.lake, orders(*shop, corrected))
    record(deployment, [night, partitions.shift(night, 1)])
    added = set(rows(deployment)) - set(before)
    assert set(before) <= set(rows(deployment))
    first = date.fromisoformat(SCORED[0])
    assert {row for row in added if row[1] == first} == {
        ("c03", first, 1, partitions.end_of(night)),
        ("c04", first, 0, partitions.end_of(night)),
    }


@pytest.mark.parametrize("times", [1, 3])
def test_what_was_known_stays_known_where_a_night_is_recorded_again_after_a_correction(times, tmp_path):
    """A corrected order replaces the one that was: of what had been known before, the source tells nothing any more."""
    at = f"{ALL[8]}T10:00:00"
    shop = [line(f"{each}T06:00:00", customer="nobody") for each in ALL]
    deployment = deployed(tmp_path, orders(*shop, line(at, customer="c03", order="o1")))
    record(deployment, ALL[5:12])
    for night, customer in zip(ALL[12 : 12 + times], ("c04", "c03", "c04"), strict=False):
        corrected = {**line(at, customer=customer, order="o1"), "received_at": partitions.end_of(night)}
        publish_source(deployment.lake, orders(*shop, corrected))
        record(deployment, [night])
    before = rows(deployment)
    assert len([row for row in before if row[:2] == ("c03", date.fromisoformat(SCORED[0]))]) == 1 + times
    record(deployment, [*ALL[5 : 12 + times], ALL[9], ALL[8]])
    assert rows(deployment) == before


def test_a_night_that_is_made_up_for_after_a_correction_takes_back_nothing(tmp_path):
    at, first = f"{ALL[8]}T10:00:00", date.fromisoformat(SCORED[0])
    shop = [line(f"{each}T06:00:00", customer="nobody") for each in ALL]
    deployment = deployed(tmp_path, orders(*shop, line(at, customer="c03", order="o1")))
    record(deployment, ALL[5:11])
    late = {**line(at, customer="c03", order="o2"), "received_at": partitions.end_of(ALL[13])}
    publish_source(deployment.lake, orders(*shop, late))
    record(deployment, ALL[13:15])
    record(deployment, ALL[11:13])
    mine = [row[2:] for row in rows(deployment) if row[:2] == ("c03", first)]
    assert mine == [(0, partitions.end_of(ALL[8]))]


@pytest.mark.parametrize("night", NIGHTS[4:9])
def test_a_night_whose_rows_are_gone_is_recorded_again_as_it_was(night, tmp_path):
    """Also labels that were corrected in it, long after."""
    deployment = deployed(tmp_path, made_orders())
    record(deployment, NIGHTS)
    before = rows(deployment)
    deployment.lake.delta(f"outcomes/{MODEL}").delete(f"known_on = '{night}'")
    assert len(rows(deployment)) < len(before)
    record(deployment, [night])
    assert rows(deployment) == before


def test_a_night_whose_rows_are_gone_is_recorded_again_without_what_a_later_correction_tells(tmp_path):
    at, first = f"{ALL[8]}T10:00:00", date.fromisoformat(SCORED[0])
    shop = [line(f"{each}T06:00:00", customer="nobody") for each in ALL]
    deployment = deployed(tmp_path, orders(*shop, line(at, customer="c03", order="o1")))
    record(deployment, ALL[5:12])
    corrected = {**line(at, customer="c04", order="o1"), "received_at": partitions.end_of(ALL[12])}
    publish_source(deployment.lake, orders(*shop, corrected))
    record(deployment, ALL[12:14])
    before = rows(deployment)
    deployment.lake.delta(f"outcomes/{MODEL}").delete(f"known_on = '{ALL[9]}'")
    record(deployment, ALL[9:10])
    assert [row for row in rows(deployment) if row[:2] == ("c03", first)] == [
        row for row in before if row[:2] == ("c03", first)
    ]


def test_what_was_received_before_the_prediction_by_its_own_clock_is_known_from_the_prediction_on(tmp_path):
    """A deliverer who writes the day alone, in a zone to the east, receives an order before it is placed."""
    day, scored = ALL[5], SCORED[0]
    early = {**line(f"{day}T01:00:00", customer="c03"), "received_at": partitions.start_of(day) - timedelta(hours=1)}
    deployment = deployed(tmp_path, orders(*(line(f"{each}T06:00:00", customer="nobody") for each in ALL), early))
    added = [each.added for each in record(deployment, NIGHTS[:3])]
    first = date.fromisoformat(scored)
    told = [row for row in rows(deployment) if row[:2] == ("c03", first)]
    assert told == [("c03", first, 0, partitions.end_of(scored))]
    assert added == [1, 0, 0]
    assert count_known(deployment, load_model(MODEL), [scored], partition=NIGHTS[2]) == {scored: (CUSTOMERS, 1, 0)}


def test_a_label_that_is_taken_back_before_the_horizon_is_known_no_more(tmp_path):
    day = ALL[6]
    shop = [line(f"{each}T06:00:00", customer="nobody") for each in ALL]
    deployment = deployed(tmp_path, orders(*shop, line(f"{day}T10:00:00", customer="c03")))
    record(deployment, [day])
    publish_source(deployment.lake, orders(*shop))
    deployment.lake.replace("raw/orders", orders(*shop), keys=ALL)
    night, first = ALL[7], date.fromisoformat(SCORED[0])
    record(deployment, ALL[7:12])
    assert [row[2:] for row in rows(deployment) if row[:2] == ("c03", first)] == [
        (0, partitions.end_of(day)),
        (None, partitions.end_of(night)),
        (1, partitions.end_of(SCORED[0]) + timedelta(days=HORIZON)),
    ]


def test_a_night_whose_orders_have_not_come_tells_nothing(tmp_path):
    deployment, night = deployed(tmp_path, made_orders()), partitions.shift(ALL[-1], 1)
    publish_scores(deployment, [night])
    with pytest.raises(NotYetError, match=f"orders of that day has not arrived.*{ALL[-1]}"):
        record(deployment, [night])
    assert not deployment.lake.exists(f"outcomes/{MODEL}")


@pytest.mark.parametrize("night", [partitions.shift(ALL[-1], 1), "9999-12-31"], ids=["tomorrow", "the last of all"])
def test_a_night_that_is_not_scored_either_is_not_waited_for(night, tmp_path):
    told = f"for {night}: it is not scored, and orders of that day has not arrived .the newest is {ALL[-1]}.; name a "
    with pytest.raises(UnpublishedError, match=told):
        record(deployed(tmp_path, made_orders()), [night])


def test_a_day_that_is_missing_is_not_one_on_which_nobody_ordered(tmp_path):
    deployment = deployed(tmp_path, made_orders())
    log = deployment.lake.read("deliveries/orders")
    without = log.filter(pc.not_equal(log["dt"], partitions.parse(ALL[7])))
    months = log["month"].unique().to_pylist()
    deployment.lake.replace("deliveries/orders", without, keys=months, partition_by="month")
    with pytest.raises(RefusedError, match=f"orders of {ALL[7]} are missing"):
        record(deployment, [NIGHTS[-1]])


def test_what_was_known_at_the_end_of_a_night_is_counted_by_night(in_order, monkeypatch):
    raw, (deployment, _) = made_orders(), in_order
    monkeypatch.setattr("include.cli.outcomes.open_deployment", lambda: deployment)
    day = NIGHTS[6]
    told = CliRunner().invoke(outcomes, ["show", "--model", MODEL, "--date", day, "--json"])
    found = json.loads(told.output)
    newest = {row[:2]: row for row in by_hand(raw, day)}
    for night in found["nights"]:
        labels = [label for (_, dt), (*_, label, _) in newest.items() if str(dt) == night["partition"]]
        assert night["scored"] == CUSTOMERS
        assert (night["known"], night["positives"]) == (len(labels), sum(labels))
    assert [night["partition"] for night in found["nights"]] == [night for night in SCORED if night <= day]
    curve = found["maturity"]
    assert curve["of_positives"][HORIZON - 1] == 0 < curve["of_negatives"][HORIZON - 1]
    assert curve["share"][HORIZON] <= curve["share"][-1] == 1
    plain = CliRunner().invoke(outcomes, ["show", "--model", MODEL, "--date", day]).output
    assert f"a night can be judged after {found['mature_after_days']} days, as was learned" in plain
    again = CliRunner().invoke(outcomes, ["record", "--model", MODEL, "--date", day])
    assert again.output == f"{MODEL} {day}: 0 rows added about the predictions of {len(found['nights'])} nights\n"


def test_a_model_that_has_scored_nobody_has_a_table_without_rows(tmp_path):
    deployment = lake_only(tmp_path)
    publish_source(deployment.lake, made_orders())
    assert record(deployment, [NIGHTS[0]])[0].added == 0
    spec = load_model(MODEL)
    found = deployment.lake.dataset(f"outcomes/{MODEL}").schema
    assert found.equals(outcomes_table(MODEL, spec.entity.keys, spec.entity.whose).arrow_schema())
