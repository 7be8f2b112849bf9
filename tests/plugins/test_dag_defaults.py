from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.sdk import RetryAction
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import AlteredError, ConflictError, MlopsError, NotYetError, RefusedError, UsageError
from mlops.dag_defaults import RETRY_POLICY, refusals_skip


def below(kind: type[MlopsError]) -> Iterator[type[MlopsError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from below(each)


def test_a_no_skips_the_task_with_its_reason():
    with pytest.raises(AirflowSkipException, match="the reason"), refusals_skip():
        raise RefusedError("the reason")


@pytest.mark.parametrize(
    "error", [MlopsError, UsageError, ConflictError, NotYetError, ConnectionError], ids=lambda error: error.__name__
)
def test_what_is_no_verdict_is_left_to_airflow(error):
    with pytest.raises(error), refusals_skip():
        raise error("the reason")


def test_a_yes_is_left_as_it_is():
    with refusals_skip():
        done = True
    assert done


@pytest.mark.parametrize(
    "error", [*below(RefusedError), *below(UsageError), AlteredError], ids=lambda error: error.__name__
)
def test_a_verdict_wrong_use_and_an_altered_file_are_not_tried_again(error):
    expected = {ConflictError: RetryAction.DEFAULT, NotYetError: RetryAction.RETRY}.get(error, RetryAction.FAIL)
    # Some say more than a reason: the policy asks what an error is.
    assert RETRY_POLICY.evaluate(error.__new__(error, "the reason"), 1, 2).action == expected


@pytest.mark.parametrize("error", [MlopsError, ConnectionError, TimeoutError], ids=lambda error: error.__name__)
def test_what_broke_is_tried_again(error):
    assert RETRY_POLICY.evaluate(error("the reason"), 1, 2).action == RetryAction.DEFAULT
