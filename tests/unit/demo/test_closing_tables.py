"""The closing tables that are made of a demo's account."""

from __future__ import annotations

from dataclasses import replace

from include.demo.account import DemoAccount, TimedStage
from include.demo.closing_tables import closing_tables
from include.governance.evidence import GateReport
from include.views.deliveries import RowAccount
from tests.unit.demo.accounts import HISTORY_END, make_account, make_decision, make_gates, make_night


def table(account: DemoAccount, wanted: str) -> list[tuple[object, ...]]:
    (rows,) = [rows for title, _, rows in closing_tables(account) if title == wanted]
    return [tuple(row) for row in rows]


def test_rows_are_as_wide_as_their_columns():
    for title, columns, rows in closing_tables(make_account()):
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


def test_a_version_without_an_auc_tells_the_metric_that_it_was_judged_by():
    account, reason = make_account(), "NDCG@5 0.7100 ≥ 0.6"
    ndcg = GateReport("ndcg", "pass", 0.71, 0.6, reason)
    account = replace(account, versions=(replace(account.versions[0], gates=(*make_gates()[1:], ndcg)),))
    assert table(account, "Versions") == [(1, "Production", HISTORY_END, reason, "0.041")]


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
