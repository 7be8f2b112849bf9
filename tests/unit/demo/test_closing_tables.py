"""The closing tables that are made of a demo's account."""

from __future__ import annotations

from include.demo.account import DemoAccount, TimedStage
from include.demo.closing_tables import closing_tables
from include.governance.evidence import GateReport
from include.governance.lifecycle import Stage
from include.views.deliveries import RowAccount
from include.views.versions import ModelVersion
from tests.unit.demo.accounts import (
    HISTORY_END,
    WORSE,
    change_model,
    make_account,
    make_account_of_three,
    make_decision,
    make_gates,
    make_night,
)


def table(account: DemoAccount, wanted: str) -> list[tuple[object, ...]]:
    (rows,) = [rows for title, _, rows in closing_tables(account) if title == wanted]
    return [tuple(row) for row in rows]


def test_rows_are_as_wide_as_their_columns():
    for title, columns, rows in (*closing_tables(make_account()), *closing_tables(make_account_of_three())):
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
        "churn", "2026-03-15", "retrain", "drift", "yes", "one; two",
    )  # fmt: skip


def test_nights_that_held_are_one_row_a_model_and_all_else_has_its_own():
    decided = [row[:-1] for row in table(make_account_of_three(), "Decisions")]
    assert decided == [
        ("churn", "2026-03-14", "retrain", "event", "yes"),
        ("churn", "2026-03-19", "veto", "none", "no"),
        ("churn", "2026-03-27", "retrain", "drift", "yes"),
        ("churn", "15 nights", "hold", "none", "no"),
        ("fraud", "2026-03-14", "retrain", "event", "yes"),
        ("fraud", "2026-03-24", "retrain", "drift", "yes"),
        ("fraud", "16 nights", "hold", "none", "no"),
        ("recommendation", "2026-03-14", "retrain", "event", "yes"),
        ("recommendation", "16 nights", "hold", "none", "no"),
    ]


def test_a_night_that_held_twice_is_one_night():
    night = make_night("2026-03-15", make_decision("2026-03-15"), make_decision("2026-03-15", decision_id=9))
    assert table(make_account(night), "Decisions")[-1][:3] == ("churn", "1 night", "hold")


def test_versions_and_moves_are_told_apart_by_their_model():
    account = make_account_of_three()
    assert [row[:3] for row in table(account, "Versions")] == [
        ("churn", 1, "Archived"),
        ("churn", 2, "Production"),
        ("fraud", 1, "Production"),
        ("fraud", 2, "Archived"),
        ("recommendation", 1, "Staging"),
    ]
    assert table(account, "Versions")[-1][4].startswith("NDCG@5 0.4512")
    (refused,) = [row for row in table(account, "Ledger") if row[0] == "fraud" and row[2] == 2]
    assert WORSE.reason in refused[-1]
    assert len(table(account, "Ledger")) == 5 + 3 + 1


def test_the_table_of_versions_tells_auc_and_latency():
    (row,) = table(make_account(), "Versions")
    assert row == ("churn", 1, "Production", HISTORY_END, make_gates()[0].reason, "0.041")


def test_a_version_whose_gates_could_not_measure_says_so():
    account = make_account()
    unknown = GateReport("latency", "unknown", None, 50.0, "12 calls were measured")
    version = ModelVersion(1, Stage.PRODUCTION, None, (unknown,))
    account = change_model(account, versions=(version,))
    assert table(account, "Versions") == [("churn", 1, "Production", "unknown", "not judged", "not measured")]


def test_a_version_without_an_auc_tells_the_metric_that_it_was_judged_by():
    account, reason = make_account(), "NDCG@5 0.7100 ≥ 0.6"
    ndcg = GateReport("ndcg", "pass", 0.71, 0.6, reason)
    version = ModelVersion(1, Stage.PRODUCTION, HISTORY_END, (*make_gates()[1:], ndcg))
    account = change_model(account, versions=(version,))
    assert table(account, "Versions") == [("churn", 1, "Production", HISTORY_END, reason, "0.041")]


def test_the_tables_of_ledger_runs_partitions_and_time():
    account = make_account(stages=(TimedStage("train", 3.4),))
    assert table(account, "Ledger")[1] == (
        "churn", HISTORY_END, 1, "Staging → Production", "admin", "demo: first version, gates passed",
    )  # fmt: skip
    assert table(account, "Runs that succeeded") == [
        ("ingest_orders", 2, "backfill__2026-03-16T00:00:00+00:00"),
        ("train_model__churn", 0, "none"),
    ]
    assert table(account, "Partitions")[0] == ("raw/orders", 438, "2025-01-01", "2026-03-17", 141_014)
    assert table(account, "Time") == [
        ("train", "3"), ("all", "3"), ("peak memory of all processes (PSS, MB)", "1812"),
    ]  # fmt: skip
