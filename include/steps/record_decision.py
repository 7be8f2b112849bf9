"""Record a decision on a model, and whether it acts, in one transaction.

What belongs here: bringing the decision, the rule (`monitoring.acting`) and the state together. What does not: what
is decided, and what follows.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from include.monitoring.acting import acts
from include.monitoring.decision import Decision
from include.specs.models import ModelSpec
from include.tables import features_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.state.decisions import DecisionRequest, DecisionRow

log = logging.getLogger(__name__)


def record_decision(
    deployment: Deployment,
    spec: ModelSpec,
    decision: Decision,
    *,
    partition: str,
    run_id: str,
    request: DecisionRequest | None = None,
) -> DecisionRow:
    """Record a decision and return its row; the same run asking again gets its own row back.

    Parameters
    ----------
    deployment : Deployment
        Its state is written.
    spec : ModelSpec
        The model; what it reads says which partition is the newest.
    decision : Decision
    partition : str
        The night that was decided.
    run_id : str
        Who decided.
    request : DecisionRequest, optional
        What a person or a business event asked for; None for a night's own decision.
    """
    row = deployment.state.record_decision(
        spec.model_id,
        decision,
        partition=partition,
        run_id=run_id,
        reads=features_name(spec.features.group),
        rule=partial(acts, decision, partition=partition, explicit=request is not None),
        request=request,
    )
    log.info(
        "decision model=%s partition=%s action=%s acted=%s reasons=%s",
        row.model_id, row.partition, row.action, row.acted, row.reasons,
    )  # fmt: skip
    return row
