"""The state store on a real PostgreSQL: compare-and-set, and who acts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from include.adapters.state.state_store import StateStoreAdapter
from include.errors import ConflictError, MlopsError
from include.governance.lifecycle import MoveRequest, stage_candidate


@pytest.fixture
def store(postgres_url, request) -> StateStoreAdapter:
    import sqlalchemy as sa

    name = f"state_{abs(hash(request.node.nodeid))}"
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    made = StateStoreAdapter(sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
    made.migrate()
    return made


def decide(store, partition, run_id, *, newest=None, action="retrain", explicit=False):
    return store.record_decision(
        model_id="churn",
        partition=partition,
        action=action,
        trigger="drift",
        reasons=["because"],
        run_id=run_id,
        newest_published=newest or partition,
        explicit=explicit,
    )


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


def test_of_two_movers_one_wins_and_the_other_is_told(store):
    moves = stage_candidate(store.ledger("churn"), MoveRequest("churn", 1, "2026-01-01", "ada", "first"))
    store.append_moves(moves)
    with pytest.raises(ConflictError, match="read the ledger and decide again"):
        store.append_moves(moves)
    assert len(store.ledger("churn")) == 1


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


def test_what_a_person_asks_for_acts_whatever_the_watermark_says(store):
    decide(store, "2026-01-05", "run-a", action="hold")
    assert decide(store, "2026-01-02", "run-b", newest="2026-01-05", explicit=True).acted


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


def test_a_partition_remembers_the_version_of_its_source_until_it_is_confirmed_or_built_again(store):
    store.record_publications("features/x", [("2026-01-01", 4), ("2026-01-02", 5)], 1, source_version=7)
    store.record_publications("features/y", [("2026-01-01", 4)], 1)
    store.confirm_source("features/x", ["2026-01-01"], 9)
    assert store.table_versions("features/x") == {"2026-01-01": 1, "2026-01-02": 1}
    assert store.source_versions("features/x") == {"2026-01-01": 9, "2026-01-02": 7}
    assert store.source_versions("features/y") == {"2026-01-01": None}
    store.record_publications("features/x", [("2026-01-02", 5)], 2, source_version=8)
    assert store.source_versions("features/x")["2026-01-02"] == 8
    assert store.table_versions("features/x")["2026-01-02"] == 2
    store.confirm_source("features/x", [], 99)
    assert store.source_versions("features/x") == {"2026-01-01": 9, "2026-01-02": 8}
