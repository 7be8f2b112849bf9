"""A task that is resumed at once may be taken for one that failed: no trigger of ours fires before a while is over."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from datetime import UTC, datetime
from inspect import isabstract
from types import SimpleNamespace

import pytest
from airflow.triggers.base import BaseTrigger

import mlops.triggers
from include.adapters.state.decisions import DecisionRow
from include.steps.find_day import DayStatus
from include.steps.read_shift import NightShift
from mlops.triggers.approval import ApprovalTrigger
from mlops.triggers.decision import DecisionTrigger
from mlops.triggers.drift import PsiDriftTrigger
from mlops.triggers.lake import RawPartitionTrigger
from mlops.triggers.settling import FIRST_LOOK_S

DAY = "2026-01-02"
DECIDED = DecisionRow(1, 1, "churn", DAY, "hold", "none", ("why",), False, "run-1", datetime(2026, 1, 3, tzinfo=UTC))
# Each with what would let it fire at its first look.
READY = {
    DecisionTrigger: (("churn", DAY, 0.01), "include.steps.read_decision.read_decision", DECIDED),
    PsiDriftTrigger: (("churn", DAY, 0.01), "include.steps.read_shift.read_shift", NightShift({"recency": "psi 0.4"})),
    RawPartitionTrigger: (("orders", DAY, 60.0, 0.01), "include.steps.find_day.find_day", DayStatus("delivered", DAY)),
    ApprovalTrigger: (("churn", 1, None, 0.01), "include.steps.ask_approval.find_questions", None),
}


def triggers_of_ours() -> set[type[BaseTrigger]]:
    names = [found.name for found in pkgutil.iter_modules(mlops.triggers.__path__)]
    modules = [importlib.import_module(f"mlops.triggers.{name}") for name in names]
    values = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {value for value in values if issubclass(value, BaseTrigger) and not isabstract(value)}


def test_every_trigger_of_ours_is_tried():
    assert triggers_of_ours() == set(READY)


@pytest.mark.parametrize("trigger", READY, ids=lambda trigger: trigger.__name__)
def test_a_trigger_lets_its_task_settle_before_it_looks(trigger, monkeypatch):
    arguments, step, found = READY[trigger]
    said: list[str | float] = []
    monkeypatch.setattr(step, lambda *_: said.append("looked") or found)

    async def sleep(seconds: float) -> None:
        said.append(seconds)

    monkeypatch.setattr(f"{trigger.run.__module__}.asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))

    async def first() -> object:
        return await anext(aiter(trigger(*arguments).run()))

    asyncio.run(first())
    assert said == [FIRST_LOOK_S, "looked"]
