"""One model's part in a demo: its first version, its nights, and the versions that come of them.

What belongs here: what is started and waited for on behalf of one model. What does not: the nights' order and what all
models share (``play``), and any of the loop's own work, which the DAGs do.
"""

from __future__ import annotations

from include.adapters.deployment import Deployment
from include.adapters.state.decisions import DecisionRow
from include.demo.approver import Approver
from include.demo.pace import Narrator
from include.demo.refusal import gates_advice
from include.demo.waiting import Waiting
from include.errors import MlopsError, RefusedError
from include.governance import lifecycle
from include.governance.lifecycle import LedgerMove, Stage
from include.specs.models import load_model
from include.steps.find_untrained import find_untrained


class PlayedModel:
    """A model that a demo plays; what is done already is left as it is."""

    def __init__(self, model_id: str, deployment: Deployment, waiting: Waiting, approver: Approver) -> None:
        self.spec = load_model(model_id)
        self.model_id = model_id
        self._deployment = deployment
        self._waiting = waiting
        self._approver = approver

    @property
    def dags(self) -> tuple[str, ...]:
        """The model's DAGs of the loop, in order."""
        return self._training, self._promotion, self._scoring, self._monitoring

    @property
    def _monitoring(self) -> str:
        return f"monitor_model__{self.model_id}"

    @property
    def _training(self) -> str:
        return f"train_model__{self.model_id}"

    @property
    def _promotion(self) -> str:
        return f"promote_model__{self.model_id}"

    @property
    def _scoring(self) -> str:
        return f"score_batch__{self.model_id}"

    def start_training(self, as_of: str) -> dict[str, str]:
        """Let the model train, and start its first training, where there was none; return its run by its DAG."""
        self._waiting.api.unpause(self._training)
        if self._ledger() or self._waiting.open_runs(self._training):
            return {}
        return {self._training: self._waiting.api.trigger(self._training, partition=as_of)}

    def require_version(self) -> None:
        """Stop where no version has come of the first training.

        Raises
        ------
        MlopsError
        """
        self._require_trained()
        if not self._ledger():
            where = f"{self._waiting.api.address}/dags/{self._training}"
            raise MlopsError(f"{self._training} ended without a version; its tasks say why: {where}")

    def require_champion(self) -> None:
        """Stop where no version is in Production: nothing could be shown of the nights.

        Raises
        ------
        RefusedError
        """
        if lifecycle.holder(self._ledger(), Stage.PRODUCTION) is None:
            raise RefusedError(
                f"no version of {self.model_id} is in Production, so no night can be scored: "
                f"{self._ledger()[-1].reason}; {gates_advice(self.spec)}"
            )

    def settle(self, narrator: Narrator) -> None:
        """Wait for the training that a decision has set off, and for a person's answer to what came of it."""
        while True:
            self._waiting.until(
                self._is_quiet_or_asks, f"{self._training} and {self._promotion} did not come to an end"
            )
            questions = self._waiting.questions(self._promotion)
            if not questions:
                self._require_trained()
                return
            self._approver.have_answered(self._promotion, questions[0])
            moved = self._ledger()[-1]
            narrator.say(
                f"  {self.model_id} version {moved.version}: {moved.from_stage} → {moved.to_stage} by {moved.actor}: "
                f"{moved.reason}"
            )

    def is_decided(self, night: str) -> bool:
        """Say whether a night is scored, measured and decided on.

        Raises
        ------
        MlopsError
            If a run of it failed.
        """
        for dag_id in (self._scoring, self._monitoring):
            for run in self._waiting.api.runs(dag_id):
                if run["state"] == "failed" and run["partition_key"] == night:
                    raise self._waiting.failed(dag_id, run["dag_run_id"])
        return self.decision(night) is not None

    def have_monitored(self) -> None:
        """Wait until no night is being measured any more."""
        self._waiting.until(
            lambda: not self._waiting.open_runs(self._monitoring), f"{self._monitoring} did not come to an end"
        )

    def decision(self, night: str) -> DecisionRow | None:
        """Return the newest decision on a night."""
        found = [d for d in self._deployment.state.decisions(self.model_id) if d.partition == night]
        return found[-1] if found else None

    def _is_quiet_or_asks(self) -> bool:
        untrained = [d for d in self._deployment.state.decisions(self.model_id) if d.acted and d.trained_by is None]
        if untrained or self._waiting.open_runs(self._training):
            return False
        if self._waiting.questions(self._promotion):
            return True
        waits = lifecycle.holder(self._ledger(), Stage.STAGING) is not None
        return not waits and not self._waiting.open_runs(self._promotion)

    def _require_trained(self) -> None:
        """Stop where no version has come of a training: the nights after it would show nothing of it."""
        if untrained := find_untrained(self._deployment, self.model_id):
            run = f"{self._waiting.api.address}/dags/{self._training}/runs/{untrained.trained_by}"
            raise MlopsError(f"{untrained}; look at {run}, and then go on with the same command")

    def _ledger(self) -> tuple[LedgerMove, ...]:
        return self._deployment.state.ledger(self.model_id)
