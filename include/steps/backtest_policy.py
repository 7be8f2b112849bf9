"""Play policies on a model's measured nights, beside what most teams run, no retrain, and the best in hindsight.

What belongs here: reading the nights and the version that they began with, or those of a data set. What does not:
playing (``monitoring.backtest``), measuring (``measure_days``), and printing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from include import partitions
from include.errors import SpecError, UsageError
from include.governance.lifecycle import production_at
from include.monitoring.backtest import (
    Backtest,
    Costs,
    Yardstick,
    play_hindsight,
    play_naive,
    play_never,
    play_policy,
    scheduled_only,
)
from include.monitoring.decision_facts import NightMetrics
from include.specs.model_sections import DecisionSpec
from include.specs.models import load_model
from include.specs.yaml_files import laid_over, read_yaml, validated
from include.steps.measure_days import DataSet, measure_days
from include.steps.monitor_model import load_nights

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


def backtest_policy(
    deployment: Deployment,
    model_id: str,
    *,
    start: str | None,
    end: str | None,
    others: Sequence[tuple[str, DecisionSpec]],
    changes: Sequence[str],
    costs: Costs,
) -> list[Backtest]:
    """Play the model's own policy and others on its measured nights; nothing is written.

    Parameters
    ----------
    start, end : str or None
        Partitions, both included; None: the first and the last that was measured.
    others : sequence of (str, DecisionSpec)
        Each with its name.
    changes : sequence of str
        Nights on which something is known to have changed.

    Returns
    -------
    list of Backtest
        The model's policy, the others, one retrain a month, PSI on N of M nights, never, the best in hindsight.

    Raises
    ------
    UsageError
        If no night was measured between `start` and `end`, a change lies outside of them, or two policies have one
        name.
    """
    nights = _read(deployment, model_id, start, end)
    trained = _trained_as_of(deployment, model_id, nights[0].partition)
    return _play_all(model_id, nights, trained, others=others, changes=changes, costs=costs)


def backtest_data_set(
    rows: DataSet,
    model_id: str,
    *,
    start: str | None,
    end: str | None,
    others: Sequence[tuple[str, DecisionSpec]],
    changes: Sequence[str],
    costs: Costs,
) -> list[Backtest]:
    """Play the same on the days of a file, each measured against another file as the model's nights are.

    Of it, volume, missing values and drift are known: no label, and not what share of a model a feature is, so that
    `features_min` features that have shifted are enough together. The reference is taken for a training on the day
    before the first one; otherwise as `backtest_policy`.
    """
    measured = measure_days(rows, load_model(model_id).monitoring)
    nights = [each for each in measured if (start or "") <= each.partition <= (end or "9999-12-31")]
    if not nights:
        held = f"those from {measured[0].partition} to {measured[-1].partition}"
        raise UsageError(
            f"{rows.current.name} has no day from {start or 'the first'} to {end or 'the last'}; there are {held}"
        )
    trained = partitions.shift(nights[0].partition, -1)
    return _play_all(model_id, nights, trained, others=others, changes=changes, costs=costs)


def _play_all(
    model_id: str,
    nights: Sequence[NightMetrics],
    trained: str,
    *,
    others: Sequence[tuple[str, DecisionSpec]],
    changes: Sequence[str],
    costs: Costs,
) -> list[Backtest]:
    spec, first, last = load_model(model_id), nights[0].partition, nights[-1].partition
    for change in changes:
        if not first <= change <= last:
            raise UsageError(f"--change {change} is not among the measured nights, {first} to {last}")
    policies = [("as it is", spec.decision), *others, ("monthly", scheduled_only(spec.decision))]
    yardstick = Yardstick(spec.decision, spec.monitoring, changes, costs)
    found = [
        *(play_policy(name, nights, policy, yardstick, trained=trained) for name, policy in policies),
        play_naive(nights, yardstick),
        play_never(nights, yardstick),
        play_hindsight(nights, yardstick),
    ]
    for name, times in Counter(each.policy for each in found).items():
        if times > 1:
            raise UsageError(f"two policies are called {name!r}; rename the file of one, by which it is called")
    return found


def _read(deployment: Deployment, model_id: str, start: str | None, end: str | None) -> list[NightMetrics]:
    nights = load_nights(deployment, model_id, since=start, until=end or "9999-12-31")
    if not nights:
        known = [str(night["partition"]) for night in deployment.state.nights(model_id)]
        held = f"those from {known[0]} to {known[-1]}" if known else "none"
        raise UsageError(
            f"no night of {model_id} from {start or 'the first'} to {end or 'the last'} was measured; there are {held}"
        )
    return nights


def read_policy(path: Path, policy: DecisionSpec) -> DecisionSpec:
    """Return a policy with the values of a YAML file laid over it.

    Parameters
    ----------
    path : Path
        Keys of a model's section ``decision:``, on their own or below it, or a model's whole spec.

    Raises
    ------
    SpecError
        If the file is no YAML, or a key or value is not allowed.
    """
    values = read_yaml(path)
    section = values.get("decision", values) if len(values) == 1 or "model_id" in values else values
    if not isinstance(section, dict):
        raise SpecError(f"{path.name}: decision must be a mapping of keys to values, found {type(section).__name__}")
    return validated(DecisionSpec, laid_over(policy.model_dump(), section, path), path)


def _trained_as_of(deployment: Deployment, model_id: str, night: str) -> str:
    """Return the day that the version of a night was trained as of."""
    moves = deployment.state.ledger(model_id)
    version = production_at(moves, night)
    known = [m.evidence.as_of for m in moves if m.version == version and m.evidence is not None]
    return known[0] if known else partitions.shift(night, -1)
