"""What a demo plays: a simulated shop with its incidents, or a real file of orders; made once, then resumed.

What belongs here: which files, days and nights a demo has, kept in its home. What does not: playing them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from include import partitions
from include.errors import RefusedError, UsageError
from include.specs.models import ModelSpec, load_model
from include.specs.services import load_feature_service
from include.specs.sources import load_source

# The shop opens, the first version is trained, the history ends; then come the nights. The first training is
# fifteen days before the first night, past the cooldown, and the monthly schedule is due on none of the nights.
_FIRST = "2024-04-13"
_TRAINED = "2026-02-28"
_HISTORY_END = "2026-03-13"
# A small shop, so that a night takes seconds; about 1,200 customers are scored, enough for a verdict on drift.
_ARRIVALS_PER_DAY = 6.0
# Seven normal nights, a broken batch that is put right the night after, then a drift that stays.
STORY = ("unit_error@2026-03-21+1", "campaign@2026-03-23*30")
DEFAULT_NIGHTS = 17
DEFAULT_SEED = 7
DEFAULT_SOURCE = "orders"


@dataclass(frozen=True)
class DemoArguments:
    """What a person asked for; two demos with equal arguments are one demo."""

    models: tuple[str, ...]
    nights: int
    seed: int
    orders: str | None = None
    source: str = DEFAULT_SOURCE
    file_format: str = "canonical"


@dataclass(frozen=True)
class DemoPlan:
    """The days and files of a demo.

    Attributes
    ----------
    arguments : DemoArguments
    source : str
        What data it is, in words.
    history : str
        The file with all that is there when the demo begins.
    features_from : dict of str to str
        The feature groups that the models read, and of each the first partition that is built.
    history_end : str
        The last one of all.
    trained_as_of : str
        The day of the first training.
    nights : tuple of str
    arrivals : str
        Folder of folders: what the landing folder gets on each night.
    happened : dict of str to str
        What goes wrong, by night.
    """

    arguments: DemoArguments
    source: str
    history: str
    features_from: dict[str, str]
    history_end: str
    trained_as_of: str
    nights: tuple[str, ...]
    arrivals: str
    happened: dict[str, str]


def find_plan(home: Path) -> DemoPlan | None:
    """Return the plan of the demo that a home holds; None where there is none, or it was not made to the end."""
    path = _path(home)
    if not path.exists():
        return None
    values = json.loads(path.read_text())
    asked = values["arguments"]
    arguments = DemoArguments(**{**asked, "models": tuple(asked["models"])})
    return DemoPlan(**{**values, "arguments": arguments, "nights": tuple(values["nights"])})


def make_plan(home: Path, arguments: DemoArguments) -> DemoPlan:
    """Make the files of a demo, or return the plan of the same demo where it was made before.

    Raises
    ------
    RefusedError
        If the home holds another demo.
    UsageError
        If the orders can't be read.
    """
    known = find_plan(home)
    if known is not None:
        if known.arguments != arguments:
            raise RefusedError(
                f"{home} holds a demo of {known.source}, {len(known.nights)} nights; go on with the arguments it was "
                "started with, or start over with --fresh (make demo ARGS=--fresh)"
            )
        return known
    folder = home / "demo" / "shop"
    shutil.rmtree(folder, ignore_errors=True)
    specs = [load_model(model_id) for model_id in arguments.models]
    plan = (_from_file if arguments.orders else _simulated)(folder, arguments, specs)
    temporary = _path(home).with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(plan), indent=1))
    temporary.replace(_path(home))
    return plan


def _simulated(folder: Path, arguments: DemoArguments, specs: Sequence[ModelSpec]) -> DemoPlan:
    from include.simulation.incidents import parse_incident
    from include.simulation.world import World
    from include.steps.generate_orders import ARRIVALS, HISTORY, generate_orders

    end = partitions.shift(_HISTORY_END, arguments.nights)
    story = [parse_incident(text) for text in STORY]
    made = generate_orders(
        folder,
        seed=arguments.seed,
        start=_FIRST,
        end=end,
        nights=arguments.nights,
        incidents=[i for i in story if partitions.shift(i.day, i.after_days) <= end],
        world=World(arrivals_per_day=_ARRIVALS_PER_DAY),
    )
    return DemoPlan(
        arguments=arguments,
        source=f"a simulated shop, seed {arguments.seed}: {made.orders:,} orders of {made.customers:,} customers",
        history=str(folder / HISTORY),
        features_from=_features_from(specs, _TRAINED),
        history_end=_HISTORY_END,
        trained_as_of=_TRAINED,
        nights=made.nights,
        arrivals=str(folder / ARRIVALS),
        happened=made.happened,
    )


def _from_file(folder: Path, arguments: DemoArguments, specs: Sequence[ModelSpec]) -> DemoPlan:
    from include.steps.generate_orders import ARRIVALS
    from include.steps.split_source import split_source

    source = Path(arguments.orders or "")
    split = split_source(
        source, load_source(arguments.source), file_format=arguments.file_format, nights=arguments.nights, folder=folder
    )
    # Trained on the eve of the first night, every night would be within the cooldown.
    trained_as_of = partitions.shift(split.history_end, -max(spec.decision.cooldown_days for spec in specs))
    for spec in specs:
        _require_history(spec, split.first, trained_as_of, f"{source.name} holds {split.first} … {split.nights[-1]}")
    first = {group: max(day, split.first) for group, day in _features_from(specs, trained_as_of).items()}
    return DemoPlan(
        arguments=arguments,
        source=f"the orders of {source.name}, {split.first} … {split.nights[-1]}",
        history=str(split.history),
        features_from=first,
        history_end=split.history_end,
        trained_as_of=trained_as_of,
        nights=tuple(split.nights),
        arrivals=str(folder / ARRIVALS),
        happened={},
    )


def _features_from(specs: Sequence[ModelSpec], as_of: str) -> dict[str, str]:
    """Return of each group that models read the first day of an example of theirs."""
    from include.question.labels import snapshot_days

    first: dict[str, str] = {}
    for spec in specs:
        day = snapshot_days(as_of, spec.label, spec.training)[0]
        for group in load_feature_service(spec.features.service).features:
            first[group] = min(day, first.get(group, day))
    return first


def _require_history(spec: ModelSpec, first: str, trained_as_of: str, holds: str) -> None:
    """Check that there are snapshots to fit on, before minutes are spent on features of them."""
    import numpy as np

    from include.question.labels import snapshot_days
    from include.training.split import split_snapshots

    label, training = spec.label, spec.training
    days = [day for day in snapshot_days(trained_as_of, label, training) if day >= first]
    snapshots = np.array(days, dtype="datetime64[D]")
    try:
        split_snapshots(spec, snapshots)
    except (RefusedError, UsageError) as no:
        raise UsageError(
            f"{holds}: too short to train {spec.model_id} as of {trained_as_of}, a cooldown "
            f"({spec.decision.cooldown_days} days) before the first night; a label is known after label.horizon_days="
            f"{label.horizon_days}, and the latest training.test_days={training.test_days} are for the test; bring a "
            f"longer log, name fewer --nights, or lower these in {spec.model_id}.yaml of the folder that MLOPS_SPECS "
            "names"
        ) from no


def _path(home: Path) -> Path:
    return home / "demo" / "plan.json"
