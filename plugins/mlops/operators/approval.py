"""An approval whose answer is kept, whichever it is.

What belongs here: handing a person's answer to the tasks after it. What does not: what they do with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

ANSWER_KEY = "answer"


class Answer(TypedDict):
    """What a person said: one of the operator's options, who said it, and why."""

    option: str
    actor: str
    reason: str


class RecordedApprovalOperator(ApprovalOperator):
    """Airflow's approval, with the answer under the XCom key ``answer`` also when it is a rejection.

    Airflow drops the return value of a task that skips its downstream, and with it who rejected and why.

    Returns
    -------
    HITLTriggerEventSuccessPayload
        As Airflow's operator, from `execute_complete`.
    """

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Keep the answer, then go on or skip as Airflow does."""
        if "error" not in event:
            context["ti"].xcom_push(key=ANSWER_KEY, value=read_answer(event))
        return super().execute_complete(context, event)


def read_answer(event: dict[str, Any]) -> Answer:
    """Return the answer that a response event carries."""
    user = event.get("responded_by_user") or {}
    reason = (event.get("params_input") or {}).get("reason")
    return Answer(
        option=str(event["chosen_options"][0]),
        actor=str(user.get("name") or user.get("id") or "unknown"),
        reason=str(reason or "no reason given"),
    )
