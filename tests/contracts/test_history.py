"""History in a real PostgreSQL: who may change it, and how its rows are chained."""

from __future__ import annotations

from functools import partial

import pytest
import sqlalchemy as sa
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import ProgrammingError

from include.adapters.state.state_store import StateStoreAdapter
from include.adapters.state.tables import CHAINED, HISTORY, METADATA, promotion_ledger
from include.embedded.deploy import migrate_state
from include.errors import MlopsError
from include.governance.chain import NOTHING, find_breaks
from include.governance.lifecycle import MoveRequest, promote, stage_candidate
from include.monitoring.acting import acts
from include.monitoring.decision import Decision
from include.settings import Settings
from tests.contracts.test_state_store import move_schema
from tests.state_roles import APP, StateRoles, create_state
from tests.unit.governance.evidence_builder import make_evidence

CHANGES = {
    "UPDATE": "UPDATE {} SET recorded_at = now()",
    "UPDATE-of-nothing": "UPDATE {} SET recorded_at = now() WHERE false",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {} CASCADE",
}
BY_THE_OWNER_ONLY = {
    "DROP": "DROP TABLE {} CASCADE",
    "ALTER": "ALTER TABLE {} DROP COLUMN recorded_at",
    "DISABLE": "ALTER TABLE {} DISABLE TRIGGER ALL",
    "DROP-TRIGGER": "DROP TRIGGER history_is_kept ON {}",
    "RENAME": "ALTER TABLE {} RENAME TO elsewhere",
}


@pytest.fixture(scope="module")
def roles(postgres_url) -> StateRoles:
    """A database that holds a row of each history."""
    made = create_state(postgres_url, "history")
    write_history(made.app)
    return made


@pytest.fixture
def copied(postgres_url, roles, request) -> StateRoles:
    """A copy of it, to be changed."""
    return create_state(postgres_url, f"history_{abs(hash(request.node.nodeid))}", template="history")


def write_history(state: StateStoreAdapter) -> None:
    state.record_registration("churn", 1, run_id="run-1", files={"model.onnx": "aa"})
    move(state, stage_candidate)
    move(state, promote)
    decision = Decision("retrain", "drift", ("because",))
    rule = partial(acts, decision, partition="2026-01-01", explicit=False)
    state.record_publications("features/x", [("2026-01-01", 1)], 1)
    row = state.record_decision("churn", decision, partition="2026-01-01", run_id="r", reads="features/x", rule=rule)
    state.claim_training(row.decision_id, "train-1")


def move(state, plan, *, version=1):
    evidence = make_evidence("2026-01-01")
    moves = state.ledger("churn")
    state.append_moves(plan(moves, MoveRequest("churn", version, "2026-01-01", "ada", "first", evidence)))


def run(url, statement):
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(statement))


def refusal(url, statement):
    with pytest.raises(ProgrammingError) as caught:
        run(url, statement)
    assert isinstance(caught.value.orig, InsufficientPrivilege)
    return str(caught.value.orig)


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("change", [*CHANGES.values(), *BY_THE_OWNER_ONLY.values()], ids=[*CHANGES, *BY_THE_OWNER_ONLY])
def test_the_applications_role_changes_nothing_in_history(roles, table, change):
    assert "permission denied" in (told := refusal(roles.app_url, change.format(table))) or "must be owner" in told


@pytest.mark.parametrize("table", HISTORY)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_careless_owner_is_stopped_too_also_as_a_replica(roles, table, change):
    told = refusal(roles.owner_url, change.format(table))
    assert "is refused: it is history" in told


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET ROLE history_owner",
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "SET session_replication_role = replica",
        "ALTER DATABASE history OWNER TO history_app",
    ],
)
def test_the_applications_role_has_no_other_way(roles, statement):
    refusal(roles.app_url, statement)


def test_the_application_does_all_that_it_needs_to(copied):
    state = copied.app
    move(state, stage_candidate, version=2)
    state.put_night("churn", "2026-01-01", model_version=1, night={"rows": 1})
    state.put_night("churn", "2026-01-01", model_version=1, night={"rows": 2})
    state.record_publications("features/x", [("2026-01-01", 2)], 2, source_versions={"raw/x": 3})
    state.confirm_sources("features/x", {"2026-01-01": {"raw/x": 3}}, {"raw/x": 4})
    assert [row.version for row in state.ledger("churn")] == [1, 1, 2]
    assert state.source_versions("features/x") == {"2026-01-01": {"raw/x": 4}}


def test_whatever_is_recorded_when_is_history_or_is_said_not_to_be():
    """A table that remembers when a row was added is only added to."""
    assert {name for name, table in METADATA.tables.items() if "recorded_at" in table.columns} == set(HISTORY)


def test_a_deployment_of_two_roles_has_nothing_to_say_of_its_protection(roles):
    assert (roles.app.unguarded(), roles.app.disarmed()) == ([], [])


@pytest.mark.parametrize("role", ["owner", "superuser"])
def test_a_deployment_of_one_role_works_and_is_said_not_to_be_protected(postgres_url, roles, role):
    url = roles.owner_url
    if role == "superuser":
        url = sa.make_url(postgres_url).set(database="history").render_as_string(hide_password=False)
    told = StateStoreAdapter(url).unguarded()
    assert [line.split(":")[0] for line in told] == list(HISTORY)
    assert all("may UPDATE, DELETE, TRUNCATE, DROP" in line for line in told)
    assert len(StateStoreAdapter(url).ledger("churn")) == 2


def test_deploying_takes_back_what_the_role_was_given_and_arms_the_triggers(copied, tmp_path):
    with copied.owner() as connection:
        connection.execute(sa.text(f"GRANT ALL ON promotion_ledger TO {APP}"))
        connection.execute(sa.text("ALTER TABLE registration DISABLE TRIGGER USER"))
        connection.execute(sa.text("DROP TRIGGER history_is_kept ON training_claim"))
    assert copied.app.unguarded() == [f"promotion_ledger: {APP} may UPDATE, DELETE, TRUNCATE"]
    assert copied.app.disarmed() == ["registration", "training_claim"]
    urls = {"MLOPS_DATABASE_URL": copied.app_url, "MLOPS_STATE_OWNER_URL": copied.owner_url}
    migrate_state(Settings.from_env({"MLOPS_HOME": str(tmp_path), **urls}))
    assert (copied.app.unguarded(), copied.app.disarmed()) == ([], [])


def test_the_application_can_not_migrate(roles):
    with pytest.raises(MlopsError, match=r"refuses: .*asked as history_app"):
        roles.app.migrate()


def test_rows_are_chained_from_the_first(roles):
    for rows in roles.app.histories("churn").values():
        assert [row["previous_sha256"] for row in rows] == [NOTHING, *(row["row_sha256"] for row in rows[:-1])]
        assert find_breaks(rows, {}) == []


def test_what_was_there_before_is_chained_by_the_migration_and_goes_on(copied):
    before = copied.app.ledger("churn")
    owner = StateStoreAdapter(copied.owner_url)
    move_schema(owner, "downgrade", "0006")
    assert "row_sha256" not in columns(owner, "promotion_ledger")
    owner.migrate(APP)
    assert copied.app.ledger("churn") == before
    move(copied.app, stage_candidate, version=2)
    rows = copied.app.histories("churn")[promotion_ledger.name]
    assert [row["seq"] for row in rows] == [1, 2, 3]
    assert find_breaks(rows, {}) == []


def columns(state, table):
    with state._engine.connect() as connection:
        return {column["name"] for column in sa.inspect(connection).get_columns(table)}


def test_every_column_of_a_chained_row_is_covered(copied):
    for table in CHAINED:
        whole = copied.app.histories("churn")[table.name][0]
        for name in {*whole} - {"row_sha256"}:
            other = 99 if isinstance(whole[name], int) else "other"
            assert find_breaks([{**whole, name: other}], {}), name


def test_a_registration_is_kept_once_and_as_it_was(copied):
    copied.app.record_registration("churn", 1, run_id="run-9", files={"model.onnx": "bb"})
    assert copied.app.registration("churn", 1).files == {"model.onnx": "aa"}
    assert copied.app.registration("churn", 2) is None
