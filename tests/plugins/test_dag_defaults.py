from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.errors import ConflictError, MlopsError, RefusedError, UsageError
from mlops.dag_defaults import refusals_fail, refusals_skip

BROKEN = (MlopsError, UsageError, ConflictError, ConnectionError)


@pytest.mark.parametrize(
    ("block", "becomes"),
    [(refusals_skip, AirflowSkipException), (refusals_fail, AirflowFailException)],
    ids=["skip", "fail"],
)
def test_a_no_ends_the_task_at_once_with_its_reason(block, becomes):
    with pytest.raises(becomes, match="the reason"), block():
        raise RefusedError("the reason")


@pytest.mark.parametrize("block", [refusals_skip, refusals_fail], ids=["skip", "fail"])
@pytest.mark.parametrize("error", BROKEN, ids=lambda error: error.__name__)
def test_what_a_retry_may_mend_is_left_to_airflow(block, error):
    with pytest.raises(error), block():
        raise error("the reason")


@pytest.mark.parametrize("block", [refusals_skip, refusals_fail], ids=["skip", "fail"])
def test_a_yes_is_left_as_it_is(block):
    with block():
        done = True
    assert done
