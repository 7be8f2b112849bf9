"""The account of a demo, as it is read from the tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from include import partitions, tables
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.state.decisions import DecisionRow
from include.demo.account import APPROVED_BY_DEMO, DemoAccount, ModelAccount, read_account
from include.governance.lifecycle import LedgerMove, Stage
from include.monitoring.decision_facts import NightMetrics
from include.steps.import_source import import_delivery, import_file
from include.views.deliveries import RowAccount
from include.views.nights import ScoredNight
from tests.deployments import lake_only
from tests.raw_orders import DELIVERIES, QUARANTINE, add_tables
from tests.shop import FIRST_DAY, deliver, make_orders, on_days
from tests.unit.demo.accounts import (
    FIRST_VERSION,
    make_decision,
    make_gates,
    make_measured,
    make_moves,
)
from tests.unit.governance.evidence_builder import make_evidence

HISTORY_LAST = "2026-01-10"
NIGHT = TypeAdapter(NightMetrics)
NIGHTS = partitions.span("2026-01-11", "2026-01-13")


class FakeState:
    """What monitoring and governance have recorded."""

    def __init__(
        self,
        moves: tuple[LedgerMove, ...],
        decisions: tuple[DecisionRow, ...],
        measured: list[str],
        published: dict[str, int],
    ) -> None:
        self.moves, self.rows, self.measured, self.published = moves, decisions, measured, published

    def ledger(self, model_id: str) -> tuple[LedgerMove, ...]:
        return tuple(move for move in self.moves if move.model_id == model_id)

    def decisions(self, model_id: str) -> tuple[DecisionRow, ...]:
        return tuple(decision for decision in self.rows if decision.model_id == model_id)

    def nights(self, model_id: str, *, until: str, since: str | None = None) -> list[dict[str, object]]:
        if model_id != "churn":
            return []
        return [NIGHT.dump_python(make_measured(night), mode="json") for night in self.measured if night <= until]

    def publications(self, target: str) -> dict[str, int]:
        return self.published if target == "predictions/churn" else {}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A history of ten days and three nights, imported by the steps; two nights are scored, two measured."""
    home = tmp_path_factory.mktemp("account")
    orders = make_orders(days=13)
    deployment = lake_only(home)
    history = home / "history.parquet"
    pq.write_table(without_customer(on_days(orders, FIRST_DAY, HISTORY_LAST), 5), history)
    import_file(deployment, history, source="orders", as_of=datetime(2026, 1, 14, tzinfo=UTC))
    for night in NIGHTS:
        nameless = 0 if night == NIGHTS[2] else 3
        deliver(home / "landing", without_customer(on_days(orders, night, night), nameless), night)
        import_delivery(deployment, night, source="orders", cross_check=False)
    for night, version in zip(NIGHTS[:2], (1, 2), strict=True):
        deployment.lake.replace("predictions/churn", predictions(night, version, rows=10 * version), keys=[night])
    evidence = make_evidence(HISTORY_LAST, gates=make_gates())
    moves = tuple(
        replace(move, partition=NIGHTS[0], evidence=evidence if move.to_stage == Stage.STAGING else None)
        for move in make_moves(*FIRST_VERSION)
    )
    decisions = (make_decision(HISTORY_LAST, "retrain"), make_decision(NIGHTS[0]), make_decision(NIGHTS[1], "veto"))
    deployment.state = FakeState(moves, decisions, [HISTORY_LAST, NIGHTS[0], NIGHTS[2]], {NIGHTS[0]: 10, NIGHTS[1]: 20})
    return deployment


def without_customer(orders: pa.Table, rows: int) -> pa.Table:
    """Orders whose first rows name no customer."""
    names = orders["customer_id"].to_pylist()
    index = orders.schema.get_field_index("customer_id")
    return orders.set_column(index, "customer_id", pa.array([None] * rows + names[rows:], pa.string()))


def predictions(night: str, version: int, *, rows: int) -> pa.Table:
    return pa.table(
        {
            "customer_id": [f"c{n}" for n in range(rows)],
            "dt": pa.array([partitions.parse(night)] * rows, pa.date32()),
            "role": ["champion"] * rows,
            "model_version": pa.array([version] * rows, pa.int64()),
        }
    )


def read(
    deployment: SimpleNamespace, nights: list[str] = NIGHTS, *, model_ids: Sequence[str] = ("churn",)
) -> DemoAccount:
    return read_account(
        deployment,
        model_ids,
        nights=nights,
        happened={NIGHTS[1]: "the shop was closed"},
        runs={"ingest_orders": ["one", "two"]},
        seconds={"import": 2.0, "train": 3.5},
        peak_pss_mb=900.0,
        source="a test's shop",
        online=(),
    )


@pytest.fixture(scope="module")
def account(deployment: SimpleNamespace) -> DemoAccount:
    return read(deployment)


@pytest.fixture(scope="module")
def model(account: DemoAccount) -> ModelAccount:
    (only,) = account.models
    return only


def delivered(day: str) -> int:
    return on_days(make_orders(days=13), day, day).num_rows


def test_the_history_is_what_no_night_delivered(account):
    rows = on_days(make_orders(days=13), FIRST_DAY, HISTORY_LAST).num_rows
    assert account.history == RowAccount(rows, rows - 5, (("customer_id_missing", 5),))


def test_a_night_has_the_rows_of_its_own_delivery(account):
    assert list(account.deliveries) == NIGHTS
    rows = account.deliveries.values()
    assert [night.delivered for night in rows] == [delivered(night) for night in NIGHTS]
    assert [night.quarantined for night in rows] == [(("customer_id_missing", 3),)] * 2 + [()]
    assert [night.published for night in rows] == [
        delivered(night) - nameless for night, nameless in zip(NIGHTS, (3, 3, 0), strict=True)
    ]


def test_every_row_is_accounted_for(account):
    assert account.rows.delivered == make_orders(days=13).num_rows
    assert account.rows.unaccounted == 0
    assert account.rows.rows_quarantined == 5 + 3 + 3
    assert account.other_deliveries == RowAccount()


def test_nights_that_this_demo_did_not_play_are_other_deliveries(deployment):
    resumed = read(deployment, NIGHTS[2:])
    assert resumed.other_deliveries.delivered == delivered(NIGHTS[0]) + delivered(NIGHTS[1])
    assert resumed.rows == read(deployment).rows


def test_rows_that_the_quarantine_lost_are_unaccounted_for(deployment, tmp_path):
    lake = LakeAdapter(tmp_path.as_uri())
    for table in ("raw/orders", "predictions/churn"):
        lake.replace(table, deployment.lake.read(table), keys=deployment.lake.partitions(table))
    records = deployment.lake.read(DELIVERIES.name)
    months = records["month"].unique().to_pylist()
    lake.replace(DELIVERIES.name, records, keys=months, partition_by=DELIVERIES.partition_by)
    set_aside = deployment.lake.read(QUARANTINE.name)
    kept = set_aside.slice(2)
    lake.replace(QUARANTINE.name, kept, keys=sorted(set(kept["source"].to_pylist())), partition_by="source")
    account = read(SimpleNamespace(lake=lake, state=deployment.state))
    assert account.rows.unaccounted == 2


def test_a_night_knows_who_scored_it_what_was_measured_and_what_was_decided(account, model):
    first, second, _ = model.nights
    assert [(night.partition, night.rows) for night in model.nights] == list(account.deliveries.items())
    assert [night.scored for night in model.nights] == [ScoredNight(10, 1), ScoredNight(20, 2), None]
    assert first.measured == make_measured(NIGHTS[0])
    assert second.measured is None
    assert model.nights[2].measured == make_measured(NIGHTS[2])
    assert [len(night.decisions) for night in model.nights] == [1, 1, 0]
    assert [move.to_stage for move in first.moves] == ["Staging", "Production"]
    assert account.happened == {NIGHTS[1]: "the shop was closed"}
    assert len(model.decisions) == 3, "those of no night are there too"


def test_a_night_with_nobody_to_score_was_scored_and_one_that_was_not_published_was_not(deployment):
    published = {NIGHTS[0]: 10, NIGHTS[2]: 0}
    moves, rows = deployment.state.moves, deployment.state.rows
    (model,) = read(SimpleNamespace(lake=deployment.lake, state=FakeState(moves, rows, [], published))).models
    assert [night.scored for night in model.nights] == [ScoredNight(10, 1), None, ScoredNight(0, 1)]


def test_a_version_has_the_gates_of_its_ledger_row(model):
    (version,) = model.versions
    assert (version.version, version.stage, version.as_of) == (1, Stage.PRODUCTION, HISTORY_LAST)
    assert version.gates == make_gates()


def test_lake_tables_are_counted_and_those_that_are_not_there_left_out(account):
    assert [(table.name, table.partitions, table.first, table.last) for table in account.tables] == [
        ("raw/orders", 13, FIRST_DAY, NIGHTS[2]),
        ("predictions/churn", 2, NIGHTS[0], NIGHTS[1]),
    ]
    assert account.tables[0].rows == account.rows.published
    assert account.tables[1].rows == 30


def test_a_table_that_is_added_to_the_list_is_counted_and_a_log_is_not(deployment, monkeypatch):
    visits = tables.TableSpec("raw/visits", "one visit", {"id": "string", "dt": "date"}, ("id",), tables.OF_NOBODY)
    asked = replace(visits, name="raw/asked", is_log=True)
    add_tables(monkeypatch, visits, asked)
    for table in (visits, asked):
        rows = pa.table({"id": ["1"], "dt": [partitions.parse(FIRST_DAY)]}, schema=table.arrow_schema())
        deployment.lake.replace(table.name, rows, keys=[FIRST_DAY])
    found = {table.name: (table.partitions, table.rows) for table in read(deployment).tables}
    assert set(found) == {"raw/orders", "raw/visits", "predictions/churn"}
    assert found["raw/visits"] == (1, 1)


def test_an_empty_lake_has_an_empty_account(tmp_path: Path):
    empty = SimpleNamespace(lake=LakeAdapter(tmp_path.as_uri()), state=FakeState((), (), [], {}))
    account = read(empty)
    assert account.rows == RowAccount()
    (model,) = account.models
    assert (account.tables, model.versions, model.ledger, model.production) == ((), (), (), None)
    (unplayed,) = read(empty, []).models
    assert unplayed.nights == ()


@pytest.mark.parametrize(("reason", "by_demo"), [("ok", False), (f"{APPROVED_BY_DEMO}: its gates passed", True)])
def test_the_ledger_tells_whether_the_demo_approved(deployment, reason, by_demo):
    steps = (FIRST_VERSION[0], (*FIRST_VERSION[1][:-1], reason))
    state = FakeState(make_moves(*steps), (), [], {})
    assert read(SimpleNamespace(lake=deployment.lake, state=state)).approved_by_demo is by_demo


class Counting:
    """Passes calls on, and counts them."""

    def __init__(self, wrapped: object, *names: str) -> None:
        self.wrapped, self.names, self.calls = wrapped, names, Counter[tuple[object, ...]]()

    def __getattr__(self, name: str) -> object:
        found = getattr(self.wrapped, name)
        if name not in self.names:
            return found

        def counted(*args: object, **options: object) -> object:
            self.calls[(name, *args)] += 1
            return found(*args, **options)

        return counted


def test_models_share_the_homes_rows_and_each_has_its_own_of_the_rest(deployment, account):
    state = deployment.state
    fraud = tuple(
        replace(move, partition=NIGHTS[1], reason=f"{APPROVED_BY_DEMO}: its gates passed")
        for move in make_moves(*FIRST_VERSION, model_id="fraud")
    )
    decided = replace(make_decision(NIGHTS[2], "veto"), model_id="fraud")
    both = FakeState((*state.moves, *fraud), (*state.rows, decided), state.measured, state.published)
    found = read(SimpleNamespace(lake=deployment.lake, state=both), model_ids=["fraud", "churn"])
    assert [(m.model_id, m.registered_name) for m in found.models] == [
        ("fraud", "fraud-detector"),
        ("churn", "churn-predictor"),
    ]
    assert found.models[1] == account.models[0]
    assert found.models[0].ledger == fraud
    assert found.models[0].decisions == (decided,)
    assert [night.scored for night in found.models[0].nights] == [None] * 3
    assert [night.rows for night in found.models[0].nights] == list(account.deliveries.values())
    assert (found.rows, found.deliveries, found.tables) == (account.rows, account.deliveries, account.tables)
    assert (found.approved_by_demo, account.approved_by_demo) == (True, False), "of either model"


def test_the_homes_tables_are_read_once_however_many_models_there_are(deployment):
    counted = []
    for model_ids in (["churn"], ["churn", "fraud", "recommendation"]):
        lake = Counting(deployment.lake, "read", "partitions")
        state = Counting(deployment.state, "ledger", "decisions", "nights", "publications")
        read(SimpleNamespace(lake=lake, state=state), model_ids=model_ids)
        assert set(state.calls.values()) == {1}
        assert len(state.calls) == 4 * len(model_ids)
        counted.append(lake.calls)
    assert counted[0] == counted[1], "the two others have no predictions"
    assert counted[0]["read", "predictions/churn"] == 1
