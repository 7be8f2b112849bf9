"""Whatever stops a scoring and whoever scores beside it, a partition is whole, single and says what made it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from include import partitions
from include.adapters.lake import commits, portions
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.scoring_manifests import read_scoring_manifests
from include.errors import AlteredError
from include.governance.lifecycle import Stage
from include.scoring.model import ScoringModel
from include.specs.models import load_model
from include.steps import commit_scores as commit_module
from include.steps.read_night import read_partition
from include.steps.score_batch import score_batch
from tests.everyday import members
from tests.scoring_lake import NIGHT, feature_rows, publish, scoring_lake

MODEL, GROUP, TABLE = "churn", "customer_daily", "predictions/churn"
SERVICES = {(MODEL, 1): "churn_v1", (MODEL, 2): "churn_v1"}
NIGHTS = partitions.span(NIGHT, partitions.shift(NIGHT, 2))
CUSTOMERS = [(f"c{n:03}",) for n in range(200)]


def deployed(folder: Path) -> Any:
    """Return the deployment of a folder as a process of its own sees it."""
    made = scoring_lake(folder, SERVICES)
    made.state.move(MODEL, 1, Stage.PRODUCTION)
    made.state.move(MODEL, 2, Stage.PRODUCTION, at=NIGHTS[1])
    made.state.move(MODEL, 1, Stage.ARCHIVED, at=NIGHTS[1])
    for night in NIGHTS:
        made.state.record_publications(f"features/{GROUP}", [(night, len(CUSTOMERS))], 0)
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    in_small_parts(monkeypatch)
    made = scoring_lake(tmp_path, SERVICES)
    for seed, night in enumerate(NIGHTS):
        publish(made, GROUP, feature_rows(GROUP, CUSTOMERS, night, seed=seed), night)
    return tmp_path


def die(*_: Any, **__: Any) -> None:
    """End as a process that is killed does: nothing is put right, nothing is closed."""
    os._exit(9)


def after(real: Callable[..., Any]) -> Callable[..., Any]:
    def then_die(*given: Any, **named: Any) -> None:
        real(*given, **named)
        die()

    return then_die


def at_the_third_slice(self: ScoringModel, matrix: Any, **_: Any) -> Any:
    calls.append(len(matrix))
    return np.zeros(len(matrix), np.float32) if len(calls) < 3 else die()


calls: list[int] = []
KILLED_AT: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "scoring": lambda patch: patch.setattr(ScoringModel, "predict", at_the_third_slice),
    "before the commit": lambda patch: patch.setattr(LakeAdapter, "_rewrite_once", _without_commit),
    "after the commit": lambda patch: patch.setattr(LakeAdapter, "rewrite", after(LakeAdapter.rewrite)),
    "after the manifest": lambda patch: patch.setattr(
        commit_module, "write_manifest", after(commit_module.write_manifest)
    ),
}


def _without_commit(self: LakeAdapter, *given: Any) -> None:
    commits.make_table = commits.replace_partitions = die  # type: ignore[assignment]
    rewriting = given[2]
    for _ in rewriting(None):
        pass
    die()


def in_small_parts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(portions, "ROWS_AT_ONCE", 50)
    patch.setattr(commit_module, "ROWS_OF_A_SLICE", 30)


def score_and_die(folder: Path, night: str, where: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        in_small_parts(patch)
        KILLED_AT[where](patch)
        score_batch(deployed(folder), MODEL, partition=night)


def killed(folder: Path, night: str, where: str) -> None:
    # One that has imported everything and run nothing: the lake's engine can't be forked while it runs.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=score_and_die, args=(folder, night, where))
    process.start()
    process.join(60)
    assert process.exitcode == 9


def scores(deployment: Any, night: str) -> pa.Table:
    return deployment.lake.read(TABLE, start=night, end=night)


def expected(deployment: Any, night: str, version: int) -> pa.Table:
    """Return keys and scores of a night by one read of all and one call of the model."""
    read = read_partition(deployment, load_model(MODEL), night, service="churn_v1")
    model = deployment.model_registry.load(load_model(MODEL).registered_name, version, registered=None).model
    matrix = np.column_stack([read.rows[name].to_numpy() for name in read.features]).astype(np.float32)
    return read.rows.select(["customer_id"]).append_column("score", pa.array(model.predict(matrix)))


def require_right(deployment: Any, night: str, version: int) -> None:
    found = scores(deployment, night)
    assert found.select(["customer_id", "score"]).equals(expected(deployment, night, version))
    assert set(found["model_version"].to_pylist()) == {version}
    assert len(set(found["customer_id"].to_pylist())) == found.num_rows
    [manifest] = read_scoring_manifests(deployment.lake, MODEL, night)
    assert (manifest.model_version, manifest.account.scored) == (version, found.num_rows)
    assert manifest.account.balances


@pytest.mark.parametrize("where", members(KILLED_AT, daily=["scoring", "after the commit"]))
@pytest.mark.parametrize("had_scores", members([False, True], daily=[True]), ids=["first", "again"])
def test_a_night_that_was_killed_anywhere_is_right_after_the_next_try(
    folder: Path, where: str, had_scores: bool
) -> None:
    deployment = deployed(folder)
    if had_scores:
        score_batch(deployment, MODEL, partition=NIGHT)
        publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS, NIGHT, seed=9))
    before = scores(deployment, NIGHT) if had_scores else None
    told_before = read_scoring_manifests(deployment.lake, MODEL, NIGHT)

    killed(folder, NIGHT, where)

    told = read_scoring_manifests(deployment.lake, MODEL, NIGHT)
    if where.startswith("after"):
        # Nothing, rather than what made the scores of before.
        assert bool(told) == (where == "after the manifest")
        assert told != told_before or told == []
    else:
        assert told in ([], told_before)
        assert deployment.lake.exists(TABLE) == had_scores
        assert before is None or scores(deployment, NIGHT).equals(before)
    version = score_batch(deployment, MODEL, partition=NIGHT).version
    require_right(deployment, NIGHT, 1)
    assert score_batch(deployment, MODEL, partition=NIGHT).version == version


def test_nights_twice_out_of_order_with_a_promotion_in_between_are_each_of_the_version_that_governs_them(
    folder: Path,
) -> None:
    deployment = deployed(folder)
    governs = dict(zip(NIGHTS, (1, 1, 2), strict=True))
    for night in (NIGHTS[2], NIGHTS[0], NIGHTS[1], NIGHTS[0], NIGHTS[2]):
        score_batch(deployment, MODEL, partition=night)
    killed(folder, NIGHTS[1], "after the commit")
    for night in reversed(NIGHTS):
        score_batch(deployment, MODEL, partition=night)

    for night, version in governs.items():
        require_right(deployment, night, version)
    assert deployment.lake.partitions(TABLE) == NIGHTS
    # One commit for each night: what was scored again was there already.
    assert deployment.lake.version(TABLE) == len(NIGHTS) - 1


def test_a_partition_that_was_altered_after_its_commit_is_not_scored(folder: Path) -> None:
    deployment = deployed(folder)
    score_batch(deployment, MODEL, partition=NIGHT)
    before, told = scores(deployment, NIGHT), read_scoring_manifests(deployment.lake, MODEL, NIGHT)
    [path] = (folder / "lake" / "features" / GROUP / f"dt={NIGHT}").glob("*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])

    with pytest.raises(AlteredError, match=rf"features/{GROUP}: data file .* was changed"):
        score_batch(deployment, MODEL, partition=NIGHT)

    assert scores(deployment, NIGHT).equals(before)
    assert read_scoring_manifests(deployment.lake, MODEL, NIGHT) == told != []
    # The other nights' files are as they were.
    assert score_batch(deployment, MODEL, partition=NIGHTS[2]).rows > 0


def test_rows_that_lie_in_no_order_are_scored_all_the_same(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    deployment = deployed(folder)
    rows = feature_rows(GROUP, CUSTOMERS, NIGHT, seed=7)
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    publish(deployment, GROUP, shuffled)

    score_batch(deployment, MODEL, partition=NIGHT)

    require_right(deployment, NIGHT, 1)
    assert "are not in the order of their keys" in caplog.text


def test_who_waited_for_another_scoring_of_the_night_reads_what_stands_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = deployed(folder)

    @contextmanager
    def waiting(*_: object, **__: object) -> Iterator[None]:
        publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS, NIGHT, seed=11))
        yield

    monkeypatch.setattr(deployment.state, "alone", waiting)
    score_batch(deployment, MODEL, partition=NIGHT)
    require_right(deployment, NIGHT, 1)
