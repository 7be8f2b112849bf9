"""What is done under a lock of the state database and fails is told as what it is."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from include.adapters.state.state_store import StateStoreAdapter


@pytest.mark.parametrize("kind", [sa.exc.OperationalError, sa.exc.ProgrammingError])
def test_another_databases_error_is_not_told_as_this_ones_and_the_lock_is_free_again(state_database, kind):
    state = StateStoreAdapter(state_database)
    of_another = kind("SELECT 1", {}, Exception("no route to the host of MLflow"))
    with pytest.raises(kind, match="no route to the host of MLflow") as raised, state.alone("registering churn"):
        raise of_another
    assert raised.value is of_another
    with state.alone("registering churn"):
        assert not state.ledger("churn")


def test_an_error_that_is_ours_leaves_the_block_as_it_is(state_database):
    state = StateStoreAdapter(state_database)
    with pytest.raises(KeyError, match="day"), state.alone("registering churn"):
        raise KeyError("day")
