"""What becomes of a training run that ends without a version: its reason is put beside the decision that it claimed.

What belongs here: reading the reason off a task of Airflow's. What does not: who is told, and when (``steps``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.errors import ConflictError, NotYetError, RefusedError, one_line
from mlops.dag_defaults import refusals_skip, report_failure

if TYPE_CHECKING:
    from airflow.sdk import Context


def failure_callbacks(model_id: str) -> list[Callable[[Context], None]]:
    """Return what is done where a task of a model's training has failed for good."""

    def keep_reason(context: Context) -> None:
        error = context.get("exception")
        _record(model_id, context, one_line(error) if isinstance(error, BaseException) else str(error))

    return [report_failure, keep_reason]


@contextmanager
def refusals_kept(model_id: str, context: Context) -> Iterator[None]:
    """Turn a "no" of a training's step into a skipped task, and keep its reason: a run that is green says none."""
    with refusals_skip():
        try:
            yield
        except (ConflictError, NotYetError):
            raise
        except RefusedError as no:
            _record(model_id, context, str(no))
            raise


def _record(model_id: str, context: Context, why: str) -> None:
    from include.adapters.deployment import Deployment
    from include.steps.find_untrained import record_failure

    task = context["task_instance"]
    record_failure(Deployment.from_env(), model_id, run_id=task.run_id, why=f"{task.task_id}: {why}")
