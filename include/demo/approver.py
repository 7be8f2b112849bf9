"""Who answers a demo's questions: a person at the page that is named, or the demo in their place, which says so.

What belongs here: waiting for a person's answer, and answering. What does not: which questions there are.
"""

from __future__ import annotations

import time
from typing import Any

from include.demo.account import APPROVED_BY_DEMO
from include.demo.pace import Narrator, Pace
from include.demo.waiting import Waiting


class Approver:
    """Has questions answered; who did not answer the first one is not there for the next."""

    def __init__(self, waiting: Waiting, pace: Pace, narrator: Narrator) -> None:
        self._waiting = waiting
        self._narrator = narrator
        self._patience_s = pace.approve_after_s

    def have_answered(self, dag_id: str, question: dict[str, Any]) -> None:
        """Wait until a question is answered, by a person or in place of one, and its run has ended."""
        run_id = question["task_instance"]["dag_run_id"]
        self._narrator.say(f"  {question['subject']}")
        if self._patience_s != 0 and self._is_answered_by_person(dag_id, run_id):
            return
        self._narrator.say(f"  {APPROVED_BY_DEMO}")
        self._patience_s = 0
        self._waiting.api.answer(question, "Approve", reason=f"{APPROVED_BY_DEMO}: its gates passed")
        self._waiting.have_ended({dag_id: run_id})

    def _is_answered_by_person(self, dag_id: str, run_id: str) -> bool:
        address = self._waiting.api.address
        where = f"{address}/dags/{dag_id}/runs/{run_id}/tasks/approve/required_actions"
        patience = f" (for {self._patience_s:.0f} s, then the demo answers)" if self._patience_s is not None else ""
        self._narrator.say(f"  the demo waits for your answer{patience}: {where}")
        until = time.monotonic() + self._patience_s if self._patience_s is not None else None
        with self._narrator.working_on("waiting for your approval"):
            while self._waiting.is_open(dag_id, run_id):
                self._waiting.pause()
                if until is not None and time.monotonic() > until and self._waiting.questions(dag_id):
                    return False
        return True
