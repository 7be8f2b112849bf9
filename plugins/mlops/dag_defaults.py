"""What all DAGs share: default arguments, tags, pools, schedules and the day of a run.

What belongs here: values and macros that several DAG files use. What does not: a task.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from airflow.sdk import (
    CronPartitionTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    get_parsing_context,
)
from airflow.sdk.exceptions import AirflowSkipException

from include import partitions
from include.errors import AlteredError, ConflictError, NotYetError, RefusedError, UsageError

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

START_DATE = datetime(2009, 1, 1, tzinfo=UTC)
POOL_FEATURE_STORE = "feature_store"
POOL_TRAINING = "training"
# A night may be late by this long, from when its day is over, before it counts as not arrived, or as missing.
ARRIVAL_TIMEOUT = timedelta(hours=6)


class Tag(StrEnum):
    """The tags that the UI filters by."""

    INGESTION = "ingestion"
    FEATURES = "features"
    TRAINING = "training"
    GOVERNANCE = "governance"
    INFERENCE = "inference"
    MONITORING = "monitoring"


_Spec = TypeVar("_Spec")


def asked_for(specs: Mapping[str, _Spec]) -> list[_Spec]:
    """Return the specs, by name, whose DAGs a file has to build: all, or where a task begins that of its own DAG."""
    dag_id = get_parsing_context().dag_id
    return [spec for name, spec in specs.items() if dag_id is None or dag_id.endswith(f"__{name}")]


def titled(doc: str, name: str) -> str:
    """Return the description of a DAG: the title of what it says of itself, and which model or group it is for."""
    return f"{doc.strip().splitlines()[0].removeprefix('### ')}: {name}"


def report_failure(context: Context) -> None:
    """Log one line that an alerting system can match on, with what is needed to find the task."""
    task = context["task_instance"]
    log.error(
        "task_failed dag=%s task=%s run=%s try=%s reason=%s",
        task.dag_id,
        task.task_id,
        task.run_id,
        task.try_number,
        context.get("exception"),
    )


def skip(reason: str) -> NoReturn:
    """End the task as skipped, with the reason in its log, where Airflow itself would not put it."""
    log.info("skipped: %s", reason)
    raise AirflowSkipException(reason)


def require_handed_on(context: Context) -> None:
    """Refuse to go on without what another task hands on, as no task of ours hands on nothing.

    Raises
    ------
    UsageError
        If there is nothing.
    """
    task: Any = context["task"]
    handed_on = [*getattr(task, "op_args", ()), *getattr(task, "op_kwargs", {}).values()]
    if any(value is None for value in handed_on):
        before = " or ".join(sorted(task.upstream_task_ids))
        raise UsageError(f"{before} has handed nothing on: it was marked as success before it ran; clear it")


@contextmanager
def refusals_skip() -> Iterator[None]:
    """Turn a "no" of a step into a skipped task, where the night goes on without it; not one that time may change."""
    try:
        yield
    except (ConflictError, NotYetError):
        raise
    except RefusedError as no:
        skip(str(no))


# Wherever it is raised, in a template too: a verdict and wrong use are the same on the second try. The rules are asked
# in their order.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(ConflictError, RetryAction.DEFAULT, reason="another writer was first; it may not be again"),
        RetryRule(NotYetError, RetryAction.RETRY, timedelta(minutes=5), reason="what is waited for may come"),
        RetryRule(
            [RefusedError, UsageError, AlteredError],
            RetryAction.FAIL,
            reason="another try would be answered in the same way",
        ),
    ]
)

# Of what builds a range of days or brings it online, and of what waits for its turn behind that: one at a time does so.
RANGE_TIMEOUT = timedelta(hours=4)

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "mlops",
    "retries": 2,
    "retry_delay": timedelta(seconds=15),
    "retry_policy": RETRY_POLICY,
    "execution_timeout": timedelta(minutes=30),
    "on_failure_callback": report_failure,
    "pre_execute": require_handed_on,
}


def nightly(at_hour: int = 0) -> CronPartitionTimetable:
    """Return the timetable of a producer: the run after midnight UTC, or hours later, carries the day that is over."""
    return CronPartitionTimetable(f"0 {at_hour} * * *", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")


def partition_param(day: str = "UTC day") -> Param:
    """Return the form field in which a person names the day, of whatever clock, when there is no partition key."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Partition",
        description=f"{day} (YYYY-MM-DD). Leave empty where the run has a partition key.",
    )


def day_param(title: str) -> Param:
    """Return a form field for a day that has to be given."""
    return Param(type="string", format="date", title=title, description="UTC day, YYYY-MM-DD.")


def _partition_macro(dag_run: Any, params: Any) -> str:
    return partitions.resolve({"dag_run": dag_run, "params": params})


# In templates: {{ partition(dag_run, params) }}
MACROS = {"partition": _partition_macro}
PARTITION_TEMPLATE = "{{ partition(dag_run, params) }}"
