"""Whichever write of measure, decide and signal a kill -9 follows, there is one decision a night and one training.

A night is monitored by the steps of ``monitor_model__churn``, on a real PostgreSQL: the night before it waits for its
turn, and the schedule asks for a retrain. The process is killed after each durable write in turn, and before the event
is emitted: whatever it did since the last one is lost with it. Then either Airflow tries the task again, or it has
given it up, and the next night is monitored.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from deltalake import DeltaTable
from sqlalchemy.engine.default import DefaultDialect

from include import partitions
from include.adapters.lake import commits
from include.adapters.registry.model_files import LoadedModel
from include.adapters.state.state_store import StateStoreAdapter
from include.errors import RefusedError
from include.governance.lifecycle import MoveRequest, promote, stage_candidate
from include.monitoring.feature_profile import ReferenceProfile
from include.monitoring.reference_profile import build_reference_profile
from include.refs import DecisionRef
from include.scoring.model import ScoringModel
from include.specs.services import load_feature_service
from include.steps.ask_again import ask_again
from include.steps.claim_training import TrainingRequest, claim_training
from include.steps.decide_retrain import decide_retrain
from include.steps.monitor_model import measure_night
from include.steps.record_outcomes import record_outcomes
from include.steps.score_batch import score_batch
from include.training.artifacts import Signature
from include.training.manifest import TrainingSetManifest
from tests.databases import make_database
from tests.deployments import lake_only
from tests.everyday import members
from tests.raw_orders import as_raw, publish_source
from tests.scoring_lake import booster, feature_rows, publish
from tests.shop import OVERLAY, make_orders
from tests.unit.governance.evidence_builder import make_evidence

MODEL, GROUP, SERVICE = "churn", "customer_daily", "churn_v1"
BEFORE, WAITING, NIGHT, NEXT = NIGHTS = partitions.span("2026-02-08", "2026-02-11")
ENTITIES = dict(zip(NIGHTS, (120, 80, 110, 90), strict=True))
FEATURES = load_feature_service(SERVICE).feature_names
DECISION = {"schedule": "0 0 11 2 *", "cooldown_days": 14}
# What is written of NIGHT, in this order: tables of the lake and of the state, and the event, which Airflow writes in
# one transaction with the success of its task. The night that waited changes how this one's volume is judged.
OUTCOMES = ("outcomes/churn", "publication")
MEASURE = ("monitoring_metric of the night",)
DECIDE = (
    "monitoring_metric of the night once more",
    "monitoring_metric of the one before",
    "retrain_decision of the one before",
    "retrain_decision, watermark",
)
WRITES = (*OUTCOMES, *MEASURE, *DECIDE, "event")
BEFORE_THE_EVENT = "decide's success"
KILLED_AFTER = (*WRITES[:-1], BEFORE_THE_EVENT, WRITES[-1])
# After these the task is given up as well. Outcomes that a night has not recorded are told as the next one knows them.
GIVEN_UP = (*MEASURE, *DECIDE[1:3], BEFORE_THE_EVENT)
TASKS = ("record_outcomes", "measure", "decide", "ask_again", "signal")
_WRITTEN = (
    "SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_stat_xact_user_tables "
    "WHERE n_tup_ins + n_tup_upd + n_tup_del > 0"
)


@dataclass(frozen=True)
class Registry:
    """A registry of one version."""

    native: bytes
    profile: ReferenceProfile

    def load(self, *_: object, **__: object) -> LoadedModel:
        signature = Signature(SERVICE, ("customer_id",), tuple((each, "float64") for each in FEATURES), "binary")
        model = ScoringModel(FEATURES, native=self.native, onnx=b"")
        promised = {"auc": 0.84, "auc_low": 0.81, "auc_high": 0.87, "rows": 1500.0}
        return LoadedModel(model, signature, self.profile, promised, TrainingSetManifest.from_incomplete_json("{}"))


@dataclass(frozen=True)
class World:
    """A deployment as a process of its own sees it, and what Airflow has on record of its runs."""

    folder: Path
    database: str
    registry: Registry

    @cached_property
    def deployment(self) -> Any:
        os.environ["MLOPS_SPECS"] = str(self.folder / "specs")
        made = lake_only(self.folder)
        made.state, made.model_registry = StateStoreAdapter(self.database), self.registry
        return made

    @property
    def airflow(self) -> dict[str, Any]:
        path = self.folder / "airflow.json"
        return dict(json.loads(path.read_text())) if path.exists() else {"tasks": {}, "events": []}

    def record(self, night: str, task: str, result: object, events: Sequence[str]) -> None:
        """Write how a task ended and what it emits: both or neither."""
        known, path = self.airflow, self.folder / "airflow.json"
        known["tasks"].setdefault(night, {})[task] = result
        known["events"] += events
        path.with_suffix(".part").write_text(json.dumps(known))
        path.with_suffix(".part").replace(path)


def score(deployment: Any, night: str) -> None:
    customers = [(f"c{number:04}",) for number in range(ENTITIES[night])]
    publish(deployment, GROUP, feature_rows(GROUP, customers, night, seed=int(night[-2:])), night)
    score_batch(deployment, MODEL, partition=night)


def monitor(world: World, night: str) -> None:
    """Run what has not ended of a night's run, and train on what is emitted; a failed task fails those that need it."""
    made, run_id = world.deployment, f"asset_triggered__{night}"

    def task(name: str, work: Callable[[], Any], *, needs: str | None = None) -> Any:
        ended = world.airflow["tasks"].get(night, {})
        if name in ended or (needs is not None and ended[needs] is None):
            return ended.setdefault(name)
        result, events = work()
        world.record(night, name, result, events)
        return result

    task("record_outcomes", lambda: (str(record_outcomes(made, MODEL, partition=night)), []))
    task("measure", lambda: (measure_night(made, MODEL, partition=night), []))
    decided = task(
        "decide",
        lambda: (asdict(decide_retrain(made, MODEL, partition=night, run_id=run_id)), []),
        needs="measure",
    )
    task("ask_again", lambda: ("asked", ask_again(made, MODEL, [], partition=night)))
    if decided is not None and DecisionRef(**decided).acted:
        task("signal", lambda: ("signalled", [night]))


def trained(world: World) -> list[str]:
    """Return the nights whose retrain a training has claimed, a run for each event."""
    claimed = []
    for number, night in enumerate(world.airflow["events"]):
        try:
            request = TrainingRequest(f"train-{number}")
            claimed.append(claim_training(world.deployment, MODEL, partition=night, request=request).partition)
        except RefusedError:
            continue
    return claimed


def on_each_write(patch: pytest.MonkeyPatch, then: Callable[[str], None]) -> None:
    """Call `then` after each durable write of this process, with what was written."""

    def after(owner: Any, name: str, says: Callable[..., str | None]) -> None:
        real = getattr(owner, name)

        def write(*given: Any, **named: Any) -> Any:
            written = says(*given)
            found = real(*given, **named)
            if written is not None:
                then(written)
            return found

        patch.setattr(owner, name, write)

    def table_of(uri: str) -> str:
        return "/".join(uri.partition("/_delta_log")[0].rstrip("/").split("/")[-2:])

    def ends(_: World, __: str, task: str, ___: object, events: Sequence[str]) -> str | None:
        return "event" if events else BEFORE_THE_EVENT if task == "decide" else None

    after(commits, "put_once", lambda _, path, __: table_of(path))
    after(DeltaTable, "create_write_transaction", lambda delta, *_: table_of(delta.table_uri))
    after(DefaultDialect, "do_commit", lambda _, connection: connection.execute(_WRITTEN).fetchone()[0])
    after(World, "record", ends)


def monitor_and_die(world: World, place: int) -> None:
    left = iter(range(place))

    def die_in_turn(_: str) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        on_each_write(patch, die_in_turn)
        monitor(world, NIGHT)


def killed(world: World, place: int) -> World:
    # One that has imported everything and run nothing: the lake's engine can't be forked while it runs.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=monitor_and_die, args=(world, place))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    return world


def copied(world: World, server: str, folder: Path, name: str) -> World:
    like = world.database.rpartition("/")[2].partition("?")[0]
    shutil.copytree(world.folder, folder / name)
    return World(folder / name, make_database(server, name, like=like), world.registry)


def written(world: World) -> dict[str, object]:
    state, lake = world.deployment.state, world.deployment.lake
    return {
        "outcomes": lake.digest("outcomes/churn"),
        "recorded": state.publications("outcomes/churn"),
        "nights": state.nights(MODEL),
        "watermark": state.watermark(MODEL),
    }


def reasons(world: World) -> list[str]:
    """Return the decisions in words; a night that a try has measured waits for its decision in those of the next."""
    decisions = world.deployment.state.decisions(MODEL)
    return ["; ".join(decision.reasons).replace("not decided on", "not measured") for decision in decisions]


def decided(world: World) -> list[tuple[str, str, bool]]:
    return [(d.partition, d.action, d.acted) for d in world.deployment.state.decisions(MODEL)]


@pytest.fixture(scope="module")
def begun(postgres_url: str, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three nights that are scored, of which the first is decided on."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("begun")
    (folder / "specs").mkdir()
    policy = {**OVERLAY, "decision": {**OVERLAY["decision"], **DECISION}}
    (folder / "specs" / "churn.yaml").write_text(yaml.safe_dump(policy))
    columns = {**{each: rng.integers(0, 40, 400).astype(np.float32) for each in FEATURES}, "score": rng.random(400)}
    registry = Registry(booster(len(FEATURES), 1), build_reference_profile(columns))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", "")
        world = World(folder, make_database(postgres_url, "killed", like=migrated), registry)
        made = world.deployment
        publish_source(made.lake, as_raw(make_orders(days=42, customers=120)))
        request = MoveRequest(MODEL, 1, "2026-02-07", "ada", "first", evidence=make_evidence("2026-02-01"))
        moves = stage_candidate((), request)
        made.state.append_moves((*moves, *promote(moves, request)))
        for night in (BEFORE, WAITING, NIGHT):
            score(made, night)
        monitor(world, BEFORE)
        yield world


@pytest.fixture(scope="module")
def clean(begun: World, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What the tables hold after the night, and after the next one."""
    world, writes = copied(begun, postgres_url, tmp_path_factory.mktemp("clean"), "clean"), list[str]()
    with pytest.MonkeyPatch.context() as patch:
        on_each_write(patch, writes.append)
        monitor(world, NIGHT)
    assert writes == [each.partition(" of ")[0] for each in KILLED_AFTER]
    assert trained(world) == [NIGHT]
    after_the_night = {**written(world), "reasons": reasons(world)}
    score(world.deployment, NEXT)
    monitor(world, NEXT)
    assert decided(world)[1:] == [(WAITING, "hold", False), (NIGHT, "retrain", True), (NEXT, "hold", False)]
    return [after_the_night, written(world)]


@pytest.mark.parametrize(
    "where", members(KILLED_AFTER, daily=[OUTCOMES[0], *MEASURE, DECIDE[2], DECIDE[3], BEFORE_THE_EVENT, "event"])
)
def test_a_kill_after_any_write_leaves_one_decision_of_each_night_and_one_training(
    begun: World, clean: list[dict[str, object]], postgres_url: str, tmp_path: Path, where: str
) -> None:
    tried = killed(copied(begun, postgres_url, tmp_path, "killed_again"), KILLED_AFTER.index(where))
    if where in GIVEN_UP:
        require_made_up_for(copied(tried, postgres_url, tmp_path, "killed_for_good"), clean[1])

    monitor(tried, NIGHT)
    assert tried.airflow["events"] == trained(tried) == [NIGHT]
    assert {**written(tried), "reasons": reasons(tried)} == clean[0]
    assert decided(tried)[1:] == [(WAITING, "hold", False), (NIGHT, "retrain", True)]


def require_made_up_for(world: World, clean: dict[str, object]) -> None:
    """Check what the next night leaves where Airflow has given up the task that was killed."""
    ended = world.airflow["tasks"].get(NIGHT, {})
    world.record(NIGHT, next(each for each in TASKS if each not in ended), None, [])
    monitor(world, NIGHT)
    trained(world)
    score(world.deployment, NEXT)
    monitor(world, NEXT)
    assert len(world.airflow["events"]) == len(trained(world)) == 1
    assert written(world) == clean
    assert sorted(night for night, *_ in decided(world)) == NIGHTS
    assert sum(acted for *_, acted in decided(world)) == 1
