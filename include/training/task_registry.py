"""The task of a model.

What belongs here: which of ``task_binary`` and ``task_ranking`` it is. What does not: either.
"""

from __future__ import annotations

from include.specs.models import BinaryModelSpec, ModelSpec, RankingModelSpec
from include.training.task import Task
from include.training.task_binary import BinaryTask
from include.training.task_ranking import RankingTask


def find_task(spec: ModelSpec) -> Task:
    """Return what a model's task is to training."""
    match spec:
        case BinaryModelSpec():
            return BinaryTask(spec)
        case RankingModelSpec():
            return RankingTask(spec)
    raise NotImplementedError(spec.task)
