"""The account as it is read from the tables, and the closing tables that are made of it."""

from __future__ import annotations

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
from include.demo.closing_tables import closing_tables
from include.governance.evidence import GateReport
from include.governance.lifecycle import LedgerMove, Stage
from include.monitoring.decision import NightMetrics
from include.steps.import_orders import import_delivery, import_orders
from include.tables import QUARANTINE
from include.views.account import DemoAccount, RowAccount, ScoredNight, TimedStage, read_account
from tests.deployments import lake_only
from tests.shop import FIRST_DAY, deliver, make_orders, on_days
from tests.unit.demo.accounts import (
    FIRST_VERSION,
    HISTORY_END,
    make_account,
    make_decision,
    make_gates,
    make_measured,
    make_moves,
    make_night,
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
        return self.moves

    def decisions(self, model_id: str) -> tuple[DecisionRow, ...]:
        return self.rows

    def nights(self, model_id: str, *, until: str) -> list[dict[str, object]]:
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
    import_orders(deployment, history, order_format="canonical", as_of=datetime(2026, 1, 14, tzinfo=UTC))
    for night in NIGHTS:
        nameless = 0 if night == NIGHTS[2] else 3
        deliver(home / "landing", without_customer(on_days(orders, night, night), nameless), night)
        import_delivery(deployment, night, cross_check=False)
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


def read(deployment: SimpleNamespace, nights: list[str] = NIGHTS) -> DemoAccount:
    return read_account(
        deployment,
        "churn",
        nights=nights,
        happened={NIGHTS[1]: "the shop was closed"},
        runs={"ingest_orders": ["one", "two"]},
        seconds={"import": 2.0, "train": 3.5},
        peak_pss_mb=900.0,
        source="a test's shop",
        approved_by_demo=True,
    )


@pytest.fixture(scope="module")
def account(deployment: SimpleNamespace) -> DemoAccount:
    return read(deployment)


def delivered(day: str) -> int:
    return on_days(make_orders(days=13), day, day).num_rows


def test_the_history_is_what_no_night_delivered(account):
    rows = on_days(make_orders(days=13), FIRST_DAY, HISTORY_LAST).num_rows
    assert account.history == RowAccount(rows, rows - 5, (("customer_id_missing", 5),))


def test_a_night_has_the_rows_of_its_own_delivery(account):
    assert [night.partition for night in account.nights] == NIGHTS
    assert [night.rows.delivered for night in account.nights] == [delivered(night) for night in NIGHTS]
    assert [night.rows.quarantined for night in account.nights] == [(("customer_id_missing", 3),)] * 2 + [()]
    assert [night.rows.published for night in account.nights] == [
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
    for table in ("raw/deliveries", "raw/orders", "predictions/churn"):
        lake.replace(table, deployment.lake.read(table), keys=deployment.lake.partitions(table))
    set_aside = deployment.lake.read(QUARANTINE.name)
    kept = set_aside.slice(2)
    lake.replace(QUARANTINE.name, kept, keys=sorted(set(kept["source"].to_pylist())), partition_by="source")
    account = read(SimpleNamespace(lake=lake, state=deployment.state))
    assert account.rows.unaccounted == 2


def test_a_night_knows_who_scored_it_what_was_measured_and_what_was_decided(account):
    first, second, _ = account.nights
    assert [night.scored for night in account.nights] == [ScoredNight(10, 1), ScoredNight(20, 2), None]
    assert first.measured == make_measured(NIGHTS[0])
    assert second.measured is None
    assert account.nights[2].measured == make_measured(NIGHTS[2])
    assert [len(night.decisions) for night in account.nights] == [1, 1, 0]
    assert [move.to_stage for move in first.moves] == ["Staging", "Production"]
    assert [night.happened for night in account.nights] == [None, "the shop was closed", None]
    assert len(account.decisions) == 3, "those of no night are there too"


def test_a_night_with_nobody_to_score_was_scored_and_one_that_was_not_published_was_not(deployment):
    published = {NIGHTS[0]: 10, NIGHTS[2]: 0}
    moves, rows = deployment.state.moves, deployment.state.rows
    account = read(SimpleNamespace(lake=deployment.lake, state=FakeState(moves, rows, [], published)))
    assert [night.scored for night in account.nights] == [ScoredNight(10, 1), None, ScoredNight(0, 1)]


def test_a_version_has_the_gates_of_its_ledger_row(account):
    (version,) = account.versions
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
    visits = tables.TableSpec("raw/visits", "one visit", {"id": "string", "dt": "date"}, ("id",), tables.Person.NOBODY)
    asked = replace(visits, name="raw/asked", is_log=True)
    monkeypatch.setattr(tables, "ONCE", (*tables.ONCE, visits, asked))
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
    assert (account.tables, account.versions, account.ledger) == ((), (), ())
    assert read(empty, []).nights == ()


def test_a_night_is_known_by_the_decision_that_acts_then_by_a_veto():
    hold, veto = make_decision("2026-03-15", decision_id=3), make_decision("2026-03-15", "veto", decision_id=2)
    acted = make_decision("2026-03-15", "retrain", decision_id=1)
    assert make_night("2026-03-15", hold, veto, acted).decision == acted
    assert make_night("2026-03-15", hold, veto).decision == veto
    assert replace(make_night("2026-03-15"), decisions=()).decision is None


def table(account: DemoAccount, wanted: str) -> list[tuple[object, ...]]:
    (rows,) = [rows for title, _, rows in closing_tables(account) if title == wanted]
    return [tuple(row) for row in rows]


def test_rows_are_as_wide_as_their_columns(account):
    for title, columns, rows in closing_tables(account):
        assert rows, title
        assert {len(row) for row in rows} == {len(columns)}, title


def test_the_table_of_rows_sums_every_delivery():
    rows = dict(table(make_account(), "Rows"))
    assert rows == {
        "delivered": 141_234 + 3 * 412,
        "published": 139_820 + 3 * 398,
        "quarantined: customer_id_missing": 1_402 + 3 * 13,
        "quarantined: duplicate_row": 12 + 3,
        "unaccounted for": 0,
    }


def test_what_is_unaccounted_for_stands_in_the_table():
    rows = dict(table(make_account(make_night("2026-03-15", rows=RowAccount(5, 3))), "Rows"))
    assert rows["unaccounted for"] == 2


def test_the_table_of_decisions_tells_every_reason():
    decision = make_decision("2026-03-15", "retrain", reasons=("one", "two"))
    assert table(make_account(make_night("2026-03-15", decision)), "Decisions")[-1] == (
        "2026-03-15", "retrain", "drift", "yes", "one; two",
    )  # fmt: skip


def test_the_table_of_versions_tells_auc_and_latency():
    (row,) = table(make_account(), "Versions")
    assert row == (1, "Production", HISTORY_END, make_gates()[0].reason, "0.041")


def test_a_version_whose_gates_could_not_measure_says_so():
    account = make_account()
    unknown = GateReport("latency", "unknown", None, 50.0, "12 calls were measured")
    account = replace(account, versions=(replace(account.versions[0], as_of=None, gates=(unknown,)),))
    assert table(account, "Versions") == [(1, "Production", "unknown", "not judged", "not measured")]


def test_the_tables_of_ledger_runs_partitions_and_time():
    account = make_account(stages=(TimedStage("train", 3.4),))
    assert table(account, "Ledger")[1] == (
        HISTORY_END, 1, "Staging → Production", "admin", "demo: first version, gates passed",
    )  # fmt: skip
    assert table(account, "Runs that succeeded") == [
        ("ingest_orders", 2, "backfill__2026-03-16T00:00:00+00:00"),
        ("train_model__churn", 0, "none"),
    ]
    assert table(account, "Partitions")[0] == ("raw/orders", 438, "2025-01-01", "2026-03-17", 141_014)
    assert table(account, "Time") == [
        ("train", "3"), ("all", "3"), ("peak memory of all processes (PSS, MB)", "1812"),
    ]  # fmt: skip
