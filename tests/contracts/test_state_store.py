"""The state store on a real PostgreSQL: compare-and-set, and who acts."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter

from include.adapters.state.history import append
from include.adapters.state.state_store import StateStoreAdapter
from include.adapters.state.tables import promotion_ledger
from include.errors import ConflictError, MlopsError
from include.governance.approval import Answer, Approval, AskedBy, Question
from include.governance.lifecycle import MoveRequest, promote, stage_candidate
from include.monitoring.acting import ActingFacts, acts
from include.monitoring.decision import Decision, NightMetrics
from include.monitoring.serving_windows import ServingWindow
from tests.monitored_year import shorten
from tests.unit.governance.evidence_builder import KEPT
from tests.unit.monitoring.nights import make_night


@pytest.fixture
def store(state_database) -> StateStoreAdapter:
    return StateStoreAdapter(state_database)


READS = "features/x"


def decide(store, partition, run_id, *, newest=None, action="retrain", explicit=False, rule=acts):
    store.record_publications(READS, [(newest or partition, 1)], 1)
    decision = Decision(action, "drift", ("because",))
    return store.record_decision(
        "churn",
        decision,
        partition=partition,
        run_id=run_id,
        reads=READS,
        rule=partial(rule, decision, partition=partition, explicit=explicit),
    )


def watermark(store):
    with store._engine.connect() as connection:
        return connection.execute(sa.text("SELECT partition_key FROM watermark WHERE model_id = 'churn'")).scalar()


def tell(store, statement):
    """Run a statement as somebody else, who does not wait for a model's lock."""
    with store._engine.begin() as connection:
        connection.execute(sa.text(statement))


def test_times_are_of_utc_whatever_the_clock_of_the_server(store, monkeypatch):
    request = MoveRequest("churn", 1, "2026-03-01", "train_model", "gates passed")
    store.append_moves(stage_candidate((), request))
    monkeypatch.setenv("PGTZ", "America/New_York")
    (move,) = store.ledger("churn")
    assert move.recorded_at.utcoffset() == timedelta(0)
    assert timedelta(0) <= datetime.now(UTC) - move.recorded_at < timedelta(minutes=5)


def test_migrating_twice_at_once_is_harmless(store):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.migrate(), range(4)))
    assert store.ledger("churn") == ()


def test_the_migrations_make_the_tables_that_the_code_declares(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from include.adapters.state.tables import METADATA

    with store._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def move_schema(store, verb, revision):
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "include/adapters/state/migrations")
    with store._engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, verb)(config, revision)


def test_what_was_published_before_the_table_had_its_name_is_published_after_it(store):
    move_schema(store, "downgrade", "base")
    move_schema(store, "upgrade", "0002")
    tell(
        store,
        "INSERT INTO materialised_partition (target, partition_key, table_version, source_version, rows) VALUES "
        "('features/x', '2026-01-01', 3, 7, 5), ('features/x', '2026-01-02', 4, NULL, 0), "
        "('online/x', '2026-01-01', 3, NULL, 5)",
    )
    store.migrate()
    assert store.publications("features/x") == {"2026-01-01": 5, "2026-01-02": 0}
    assert store.source_versions("features/x") == {"2026-01-01": {"raw/orders": 7}, "2026-01-02": None}
    assert store.table_versions("features/x") == {"2026-01-01": 3, "2026-01-02": 4}
    assert store.publications("online/x") == {"2026-01-01": 5}
    store.record_publications("features/x", [("2026-01-01", 6)], 5)
    assert store.publications("features/x")["2026-01-01"] == 6
    with store._engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
    assert "publication" in tables
    assert "materialised_partition" not in tables


def test_of_two_movers_one_wins_and_the_other_is_told(store):
    moves = stage_candidate(store.ledger("churn"), MoveRequest("churn", 1, "2026-01-01", "ada", "first"))
    store.append_moves(moves)
    with pytest.raises(ConflictError, match="read the ledger and decide again"):
        store.append_moves(moves)
    assert len(store.ledger("churn")) == 1


def insert_move(store, seq, evidence, **told):
    move = {"seq": seq, "version": seq, "from_stage": "None", "to_stage": "Staging", **told}
    told = {"partition_key": "2026-01-01", "actor": "train_model", "reason": "gates passed", "evidence": evidence}
    with store._engine.begin() as connection:
        append(connection, promotion_ledger, "churn", [{**move, **told}])


def kept_evidence(store):
    with store._engine.connect() as connection:
        query = sa.select(promotion_ledger.c.evidence).order_by(promotion_ledger.c.seq)
        return list(connection.execute(query).scalars())


def test_a_ledger_from_before_evidence_was_typed_is_read_and_written_on_the_same(store):
    insert_move(store, 1, KEPT)
    insert_move(store, 2, {})
    staged, superseded = store.ledger("churn")
    assert (staged.evidence.as_of, staged.evidence.trained_on.rows, superseded.evidence) == ("2026-03-14", 8123, None)
    store.append_moves([replace(staged, seq=3, version=3), replace(superseded, seq=4, version=4)])
    assert kept_evidence(store) == [KEPT, {}, KEPT, {}]


def test_a_row_whose_evidence_nobody_of_ours_wrote_is_named(store):
    insert_move(store, 1, {})
    insert_move(store, 2, {**KEPT, "gates": [{"gate": "auc", "verdict": "maybe"}]})
    with pytest.raises(MlopsError, match=r"promotion_ledger, churn move 2: .*gates\.0\.verdict='maybe'"):
        store.ledger("churn")


ASKED_AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
ASKING = AskedBy("promote_model__churn", "run-1", "approve", -1, "try-1")
QUESTION = Question("churn", 1, ASKING, ASKED_AT, ASKED_AT + timedelta(hours=72))


def test_a_move_keeps_who_asked_for_the_training_apart_from_whose_answer_it_rests_on(store):
    answer = Answer("try-1", "Approve", "7", "bob", ASKED_AT + timedelta(hours=1), "better")
    request = MoveRequest("churn", 1, "2026-01-01", "train_model", "gates passed", requested_by="ada")
    store.append_moves(stage_candidate((), request))
    approved = MoveRequest("churn", 1, "2026-01-01", "bob", "better", approval=Approval.of(QUESTION, answer))
    store.append_moves(promote(store.ledger("churn"), approved))
    staged, promoted = store.ledger("churn")
    assert (staged.actor, staged.requested_by, staged.approval) == ("train_model", "ada", None)
    assert (promoted.actor, promoted.requested_by) == ("bob", None)
    assert promoted.approval == Approval.of(QUESTION, answer)
    assert (promoted.approval.run_id, promoted.approval.option, promoted.approval.user_id) == ("run-1", "Approve", "7")


def test_a_row_whose_approval_nobody_of_ours_wrote_is_named(store):
    insert_move(store, 1, {}, approval={"user_name": "eve"})
    with pytest.raises(MlopsError, match=r"promotion_ledger, churn move 1: this code did not write its approval"):
        store.ledger("churn")


def test_questions_are_kept_by_try_in_the_order_they_were_put_and_repeating_one_adds_none(store):
    retried = replace(QUESTION, by=replace(ASKING, ti_id="try-2"))
    anew = replace(retried, asked_at=ASKED_AT + timedelta(days=9), expires_at=ASKED_AT + timedelta(days=12))
    for question in (QUESTION, QUESTION, retried, anew, replace(QUESTION, model_id="other", version=4)):
        store.record_question(question)
    assert store.questions("churn") == (QUESTION, retried, anew)


def test_a_decision_acts_once_however_often_its_task_is_retried(store):
    first, again = decide(store, "2026-01-02", "run-a"), decide(store, "2026-01-02", "run-a")
    assert first == again
    assert first.acted


def test_a_replayed_partition_is_recorded_and_does_not_act(store):
    decide(store, "2026-01-02", "run-a")
    assert not decide(store, "2026-01-02", "run-b").acted
    assert len(store.decisions("churn")) == 2


def test_a_hold_uses_the_partition_up_too(store):
    assert not decide(store, "2026-01-02", "run-a", action="hold").acted
    assert not decide(store, "2026-01-02", "run-b").acted


def test_an_older_partition_does_not_act(store):
    decide(store, "2026-01-05", "run-a", action="hold")
    assert not decide(store, "2026-01-04", "run-b", newest="2026-01-05").acted


def test_a_partition_that_is_not_the_newest_published_neither_acts_nor_moves_the_watermark(store):
    assert not decide(store, "2026-01-02", "run-a", newest="2026-01-03").acted
    assert decide(store, "2026-01-03", "run-b").acted


def test_of_many_runs_of_one_night_at_once_exactly_one_acts(store):
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda n: decide(store, "2026-01-02", f"run-{n}"), range(8)))
    assert sum(row.acted for row in rows) == 1


@pytest.mark.parametrize("other", ["2026-01-02", "2026-01-03"], ids=["the-same-night", "the-next-night"])
def test_a_decision_waits_for_one_that_is_being_recorded_and_sees_what_it_left(store, other):
    seen, first_is_in, second_is_in = [], threading.Event(), threading.Event()

    def slow(decision, facts, **said):
        seen.append(facts.watermark)
        first_is_in.set()
        # The second has no way in while this one is open: it is not waited for, only given the time to try.
        second_is_in.wait(0.5)
        return acts(decision, facts, **said)

    def second(decision, facts, **said):
        seen.append(facts.watermark)
        second_is_in.set()
        return acts(decision, facts, **said)

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(decide, store, "2026-01-02", "run-a", newest=other, rule=slow)
        first_is_in.wait(10)
        two = pool.submit(decide, store, other, "run-b", rule=second)
        rows = [one.result(), two.result()]
    assert seen == [None, "2026-01-02" if other == "2026-01-02" else None]
    assert sum(row.acted for row in rows) == 1
    assert watermark(store) == other


def stopped(_decision, _facts, **_):
    raise RuntimeError("the worker was stopped")


def killed(store):
    def rule(decision, facts, **said):
        tell(
            store,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        return acts(decision, facts, **said)

    return rule


def out_of_disk(store):
    tell(
        store,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no space''; END'; "
        "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON watermark FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    return acts


@pytest.mark.parametrize(
    ("crash", "error", "message"),
    [
        (lambda _: stopped, RuntimeError, "the worker was stopped"),
        (killed, MlopsError, "terminating connection"),
        (out_of_disk, MlopsError, "refuses: no space"),
    ],
    ids=["in-the-rule", "of-the-connection", "after-the-row"],
)
def test_a_crash_leaves_neither_a_decision_nor_a_moved_watermark(store, crash, error, message):
    decide(store, "2026-01-01", "run-0", action="hold")
    with pytest.raises(error, match=message):
        decide(store, "2026-01-02", "run-a", rule=crash(store))
    tell(store, "DROP FUNCTION IF EXISTS refuse CASCADE")
    assert [row.run_id for row in store.decisions("churn")] == ["run-0"]
    assert watermark(store) == "2026-01-01"
    assert decide(store, "2026-01-02", "run-a").acted


@pytest.mark.parametrize("before", [None, "2026-01-01"], ids=["the-first-night", "a-later-night"])
def test_a_watermark_that_somebody_moved_past_the_lock_is_not_overwritten(store, before):
    if before is not None:
        decide(store, before, "run-0", action="hold")

    def rule(decision, facts, **said):
        tell(
            store,
            "INSERT INTO watermark VALUES ('churn', '2026-01-09') "
            "ON CONFLICT (model_id) DO UPDATE SET partition_key = '2026-01-09'",
        )
        return acts(decision, facts, **said)

    with pytest.raises(ConflictError, match=r"no longer .*decide again"):
        decide(store, "2026-01-02", "run-a", rule=rule)
    assert "run-a" not in [row.run_id for row in store.decisions("churn")]
    assert watermark(store) == "2026-01-09"


def test_the_rule_is_told_what_stands_at_that_moment_of_this_model_and_what_it_reads(store):
    told = []

    def rule(decision, facts, **said):
        told.append(facts)
        return acts(decision, facts, **said)

    store.record_publications("features/y", [("2026-02-01", 1)], 1)
    for night in ("2026-01-02", "2026-01-03"):
        decide(store, night, f"run-{night}", rule=rule)
    decide(store, "2026-01-03", "run-2026-01-03", rule=rule)
    assert told == [ActingFacts(None, "2026-01-02"), ActingFacts("2026-01-02", "2026-01-03")]


def test_what_a_person_asks_for_acts_whatever_the_watermark_says(store):
    decide(store, "2026-01-05", "run-a", action="hold")
    assert decide(store, "2026-01-02", "run-b", newest="2026-01-05", explicit=True).acted


def test_a_models_decisions_are_counted_whatever_the_ids_leap_by(store):
    numbers = []
    for day in ("02", "03", "04"):
        numbers.append(decide(store, f"2026-01-{day}", f"run-{day}").number)
        tell(
            store,
            "INSERT INTO retrain_decision SELECT nextval('retrain_decision_decision_id_seq'), 'fraud', "
            "partition_key, action, trigger, reasons, acted, run_id FROM retrain_decision WHERE model_id = 'churn'",
        )
        # What a crash of the server leaves of the values that it had fetched in advance.
        tell(
            store,
            "SELECT setval('retrain_decision_decision_id_seq', "
            "(SELECT last_value + 32 FROM retrain_decision_decision_id_seq))",
        )
    again = decide(store, "2026-01-02", "run-02").number
    assert (numbers, again) == ([1, 2, 3], 1)
    rows = store.decisions("churn")
    assert [row.number for row in rows] == [1, 2, 3]
    assert rows[-1].decision_id > 60
    assert [row.number for row in store.decisions("fraud")] == [1, 2, 3, 4, 5, 6]


def test_a_decision_is_trained_on_by_one_run(store):
    decision = decide(store, "2026-01-02", "run-a").decision_id
    with ThreadPoolExecutor(8) as pool:
        holders = set(pool.map(lambda n: store.claim_training(decision, f"train-{n}"), range(8)))
    assert len(holders) == 1
    assert store.decisions("churn")[0].trained_by in holders


def test_the_newest_publication_is_the_latest_day_not_the_latest_write(store):
    store.record_publications("features/x", [("2026-01-02", 5), ("2026-01-01", 4)], 1)
    store.record_publications("features/x", [("2026-01-01", 7)], 2)
    assert store.publications("features/x") == {"2026-01-01": 7, "2026-01-02": 5}
    assert store.newest_publication("features/x") == "2026-01-02"
    assert store.newest_publication("features/y") is None


def test_a_night_measured_again_replaces_itself(store):
    for rows in (1, 2):
        store.put_night("churn", "2026-01-01", model_version=1, night={"rows": rows})
    assert store.nights("churn") == [{"rows": 2}]
    assert store.nights("churn", until="2025-12-31") == []


def test_a_server_that_is_down_is_named_with_the_next_move(tmp_path):
    store = StateStoreAdapter(f"postgresql+psycopg://postgres:@/state?host={tmp_path}")
    with pytest.raises(MlopsError, match=r"can't be reached.*make up"):
        store.ledger("churn")


def of(version: int, other: int | None = None) -> dict[str, int]:
    return {"raw/a": version} if other is None else {"raw/a": version, "raw/b": other}


def test_a_partition_remembers_the_versions_of_its_sources_until_they_are_confirmed_or_built_again(store):
    store.record_publications("features/x", [("2026-01-01", 4), ("2026-01-02", 5)], 1, source_versions=of(7, 2))
    store.record_publications("features/y", [("2026-01-01", 4)], 1)
    store.confirm_sources("features/x", {"2026-01-01": of(7, 2)}, of(9))
    assert store.table_versions("features/x") == {"2026-01-01": 1, "2026-01-02": 1}
    assert store.source_versions("features/x") == {"2026-01-01": of(9, 2), "2026-01-02": of(7, 2)}
    assert store.source_versions("features/y") == {"2026-01-01": None}
    store.record_publications("features/x", [("2026-01-02", 5)], 2, source_versions=of(8))
    assert store.source_versions("features/x")["2026-01-02"] == of(8)
    assert store.table_versions("features/x")["2026-01-02"] == 2
    store.confirm_sources("features/x", {}, of(99))
    assert store.source_versions("features/x") == {"2026-01-01": of(9, 2), "2026-01-02": of(8)}


def test_a_partition_that_was_built_anew_since_it_was_compared_is_not_confirmed(store):
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    store.record_publications("features/x", [(day, 1) for day in days], 1, source_versions=of(7, 1))
    store.record_publications("features/x", [(days[2], 1)], 1, source_versions=of(8, 1))
    store.record_publications("features/x", [(days[1], 1)], 2, source_versions=of(7, 2))
    store.confirm_sources("features/x", {days[0]: of(7, 1), days[1]: of(7, 1), days[2]: of(8, 1)}, of(9, 1))
    assert store.source_versions("features/x") == {days[0]: of(9, 1), days[1]: of(7, 2), days[2]: of(9, 1)}


def test_a_version_of_the_one_source_keeps_its_meaning_where_there_may_be_several(store):
    move_schema(store, "downgrade", "base")
    move_schema(store, "upgrade", "0008")
    tell(
        store,
        "INSERT INTO publication (target, partition_key, table_version, source_version, rows) VALUES "
        "('features/daily', '2026-01-01', 3, 7, 5), ('features/daily', '2026-01-02', 4, NULL, 0), "
        "('predictions/churn', '2026-01-01', 2, NULL, 5), ('features/churn_scores', '2026-01-01', 1, 2, 5)",
    )
    store.migrate()
    assert store.source_versions("features/daily") == {"2026-01-01": {"raw/orders": 7}, "2026-01-02": None}
    assert store.source_versions("features/churn_scores") == {"2026-01-01": {"predictions/churn": 2}}
    store.record_publications("features/daily", [("2026-01-03", 1)], 5, source_versions=of(1, 2))
    move_schema(store, "downgrade", "0008")
    with store._engine.connect() as connection:
        kept = sa.text("SELECT source_version FROM publication WHERE target = 'features/daily' ORDER BY partition_key")
        assert list(connection.execute(kept).scalars()) == [7, None, None]
    store.migrate()


MINUTE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def served(process: str, minute: int, requests: int) -> ServingWindow:
    start = MINUTE + timedelta(minutes=minute)
    end, last = start + timedelta(minutes=1), requests if requests else None
    return ServingWindow(
        process, "churn", 1, "champion", start, end, requests, requests, {422: 2}, {100: requests}, last and 1, last, 3
    )


def test_windows_are_added_once_and_those_of_two_processes_stand_beside_one_another(store):
    of_a, of_b = [served("a", minute, 5) for minute in range(3)], [served("b", 1, 7), served("b", 2, 0)]
    store.record_windows(of_a)
    store.record_windows([*of_a, *of_b])
    store.record_windows([replace(of_b[0], requests=99)])
    store.record_windows([])
    found = store.serving_windows("churn", MINUTE, MINUTE + timedelta(minutes=2))
    assert found == [of_a[0], of_a[1], of_b[0]]
    assert store.serving_windows("fraud", MINUTE, MINUTE + timedelta(days=1)) == []


def test_nights_in_short_are_the_last_ones_taken_apart_as_they_were_kept(store):
    nights = [
        TypeAdapter(NightMetrics).dump_python(make_night(f"2026-03-0{day}", shifted=day, version=day), mode="json")
        for day in (2, 1, 3)
    ]
    for night in nights:
        store.put_night("churn", night["partition"], model_version=night["model_version"], night=night)
    second, first, third = nights
    assert store.nights_in_short("churn", 9) == [shorten(each) for each in (first, second, third)]
    assert store.nights_in_short("churn", 1, until="2026-03-02") == [shorten(second)]
    assert store.nights_in_short("fraud", 9) == []
    assert store.night("churn", "2026-03-03") == third
    assert store.night("churn", "2026-03-04") is None
