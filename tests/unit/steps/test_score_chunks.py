"""A night that several tasks score in chunks is the night that one task scores, whatever happens in between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include import partitions
from include.adapters.lake import portions, role_rows, staged_scores
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.scoring_manifests import read_scoring_manifests
from include.errors import MlopsError, RefusedError, UsageError
from include.governance.lifecycle import Stage
from include.refs import PredictionsRef
from include.scoring.model import ScoringModel
from include.steps import commit_scores, score_chunks, score_night
from include.steps.score_batch import score_batch
from include.steps.score_chunks import commit_chunks, plan_chunks, remove_staged, score_chunk, sweep_staged
from include.steps.score_night import Scoring
from tests.everyday import members
from tests.scoring_lake import NIGHT, break_a_second_slice, feature_rows, publish, scoring_lake, write_scoring

OVERLAYS = Path(__file__).parents[2] / "overlays"
MODEL, LISTS, GROUP, OTHER = "winback", "next_shelf", "customer_daily", "churn_scores"
ONE, SAME, WIDER = 1, 2, 3
SERVICES = {
    (MODEL, ONE): "churn_v1", (MODEL, SAME): "churn_v1", (MODEL, WIDER): "customer_features", (LISTS, ONE): "shelf_v1"
}  # fmt: skip
CUSTOMERS = [(f"c{n:04}",) for n in range(3_000)]
LATER = partitions.shift(NIGHT, 1)


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "specs"
    for name in ("more_models", "rankings"):
        shutil.copytree(OVERLAYS / name, folder, dirs_exist_ok=True)
    monkeypatch.setenv("MLOPS_SPECS", str(folder))
    write_scoring(folder, MODEL, challenger=True, chunk_rows=1_000)
    write_scoring(folder, LISTS, chunk_rows=1_000)
    return folder


@pytest.fixture
def deployment(tmp_path: Path, specs: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a lake in which a night is three chunks, each of several slices."""
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", 700)
    monkeypatch.setattr(score_night, "ROWS_AT_ONCE", 250)
    monkeypatch.setattr(commit_scores, "ROWS_OF_A_SLICE", 300)
    monkeypatch.setattr(score_chunks, "ROWS_OF_A_SLICE", 400)
    made = scoring_lake(tmp_path, SERVICES)
    made.state.move(MODEL, ONE, Stage.PRODUCTION)
    publish(made, GROUP, feature_rows(GROUP, CUSTOMERS))
    publish(made, OTHER, feature_rows(OTHER, CUSTOMERS[::2], churn_risk_score=np.linspace(0, 1, 1_500)))
    return made


def in_chunks(deployment: Any, model_id: str = MODEL) -> PredictionsRef:
    chunks = plan_chunks(deployment, model_id, partition=NIGHT)
    assert len(chunks) == 3
    # In whatever order workers are done.
    done = commit_chunks(deployment, chunks[0], [score_chunk(deployment, chunk) for chunk in reversed(chunks)])
    remove_staged(deployment, chunks[0])
    return done


def told(deployment: Any, model_id: str = MODEL) -> tuple[dict[str, pa.Table], Any]:
    """Return the night's rows by role, and what made them."""
    rows = deployment.lake.read(f"predictions/{model_id}", start=NIGHT, end=NIGHT)
    by_role = {role: rows.filter(pc.equal(rows["role"], role)) for role in sorted(set(rows["role"].to_pylist()))}
    return by_role, [replace(each, version=0) for each in read_scoring_manifests(deployment.lake, model_id, NIGHT)]


def take_back(deployment: Any, model_id: str = MODEL) -> None:
    stored = deployment.lake.read(f"predictions/{model_id}", start=NIGHT, end=NIGHT)
    deployment.lake.replace(f"predictions/{model_id}", stored.slice(0, 0), keys=[NIGHT])


def staged(deployment: Any) -> list[str]:
    root = Path(deployment.lake.uri.removeprefix("file://"), "staged_scores", MODEL)
    return sorted(path.name for path in root.iterdir())


def publish_lists(deployment: Any) -> None:
    deployment.state.move(LISTS, ONE, Stage.PRODUCTION)
    sizes = np.random.default_rng(0).integers(1, 12, 500)
    pairs = [(f"c{n:03}", f"k{item:02}") for n, size in enumerate(sizes) for item in range(size)]
    publish(deployment, "shelf_daily", feature_rows("shelf_daily", pairs, buyers_30d=[20] * len(pairs)))


@pytest.mark.parametrize(
    ("model_id", "challenger"),
    [pytest.param(MODEL, SAME, marks=pytest.mark.thorough), (MODEL, WIDER), (LISTS, None)],
    ids=["one service", "another service", "lists"],
)
def test_chunks_give_the_rows_and_the_accounts_of_one_task(
    deployment: Any, model_id: str, challenger: int | None
) -> None:
    if challenger is None:
        publish_lists(deployment)
    else:
        deployment.state.move(MODEL, challenger, Stage.STAGING)
    alone = score_batch(deployment, model_id, partition=NIGHT)
    expected = told(deployment, model_id)
    take_back(deployment, model_id)

    done = in_chunks(deployment, model_id)

    assert replace(done, version=alone.version) == alone
    assert done.challenger == challenger
    assert done.version == alone.version + 2
    assert told(deployment, model_id) == expected
    assert expected[1][0].account.rows > 2_500
    assert all(manifest.account.balances for manifest in expected[1])
    # Again, in whichever way, commits nothing.
    assert in_chunks(deployment, model_id) == score_batch(deployment, model_id, partition=NIGHT) == done


class KilledError(BaseException):
    """The process is gone."""


def killed(*_: Any, **__: Any) -> Any:
    raise KilledError


def after(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *given, **named: (real(*given, **named), killed())


def at_the_second_slice(_: ScoringModel, matrix: Any, counts: list[int] = [], **__: Any) -> Any:  # noqa: B006
    counts.append(len(matrix))
    return np.zeros(len(matrix), np.float32) if len(counts) < 2 else killed()


IN_A_CHUNK: dict[str, tuple[Any, str, Any]] = {
    "scoring": (ScoringModel, "predict", at_the_second_slice),
    "before the file": (staged_scores, "put", killed),
    "after the file": (staged_scores, "put", after(staged_scores.put)),
}
IN_THE_COMMIT: dict[str, tuple[Any, str, Any]] = {
    "before the commit": (role_rows, "in_columns_of", killed),
    "after the commit": (LakeAdapter, "rewrite", after(LakeAdapter.rewrite)),
    "after the manifest": (commit_scores, "write_manifest", after(commit_scores.write_manifest)),
}


@pytest.mark.parametrize("where", members([*IN_A_CHUNK, *IN_THE_COMMIT], daily=["after the file", "after the commit"]))
def test_a_chunk_or_a_commit_that_is_killed_anywhere_is_tried_again_to_the_same_rows(
    deployment: Any, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    deployment.state.move(MODEL, SAME, Stage.STAGING)
    score_batch(deployment, MODEL, partition=NIGHT)
    expected = told(deployment)
    take_back(deployment)
    before = deployment.lake.version(f"predictions/{MODEL}")
    chunks = plan_chunks(deployment, MODEL, partition=NIGHT)
    done = [score_chunk(deployment, chunk) for chunk in chunks[:2]]

    with monkeypatch.context() as patch:
        patch.setattr(*({**IN_A_CHUNK, **IN_THE_COMMIT}[where]))
        with pytest.raises(KilledError):
            commit_chunks(deployment, chunks[0], [*done, score_chunk(deployment, chunks[2])])

    was_committed = where.startswith("after the") and where != "after the file"
    assert deployment.lake.version(f"predictions/{MODEL}") == before + was_committed
    # The second is repeated though it was done.
    assert score_chunk(deployment, chunks[1]) == done[1]
    commit_chunks(deployment, chunks[0], [*done, score_chunk(deployment, chunks[2])])
    assert told(deployment) == expected
    assert deployment.lake.version(f"predictions/{MODEL}") == before + 1


def test_what_is_promoted_and_rebuilt_between_two_chunks_is_not_of_that_night(deployment: Any) -> None:
    deployment.state.move(MODEL, SAME, Stage.STAGING)
    score_batch(deployment, MODEL, partition=NIGHT)
    expected = told(deployment)
    take_back(deployment)

    first, *others = plan_chunks(deployment, MODEL, partition=NIGHT)
    done = [score_chunk(deployment, first)]
    deployment.state.move(MODEL, ONE, Stage.ARCHIVED, at=NIGHT)
    deployment.state.move(MODEL, SAME, Stage.PRODUCTION, at=NIGHT)
    publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS, seed=1))
    done += [score_chunk(deployment, chunk) for chunk in others]
    commit_chunks(deployment, first, done)

    assert told(deployment) == expected
    # Who scores from the newest stays, though a commit from before comes after it.
    newest = score_batch(deployment, MODEL, partition=NIGHT)
    rescored = told(deployment)
    assert rescored[0] != expected[0]
    with pytest.raises(RefusedError, match=r"winback 2024-03-10 was scored since .* from version 1 of features/cust"):
        commit_chunks(deployment, first, done)
    assert told(deployment) == rescored
    assert deployment.lake.version(f"predictions/{MODEL}") == newest.version
    assert in_chunks(deployment) == newest


def test_a_challenger_that_fails_in_one_chunk_is_told_of_and_leaves_the_champion(
    deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_batch(deployment, MODEL, partition=NIGHT)
    champion = told(deployment)[0]
    take_back(deployment)
    deployment.state.move(MODEL, WIDER, Stage.STAGING)
    chunks = plan_chunks(deployment, MODEL, partition=NIGHT)
    done = [score_chunk(deployment, chunk) for chunk in chunks[:1]]
    with monkeypatch.context() as patch:
        deployment.model_registry.unreadable.add(WIDER)
        done.append(score_chunk(deployment, chunks[1]))
        deployment.model_registry.unreadable.clear()
        break_a_second_slice(patch)
        done += [score_chunk(deployment, chunks[2]), score_chunk(deployment, chunks[2])]

    committed = commit_chunks(deployment, chunks[0], [*done[:2], done[-1]])

    assert [each.challenger_failure is None for each in done] == [True, False, True, False]
    assert committed.challenger is None
    assert committed.challenger_failure == done[1].challenger_failure
    assert "did not score as challenger: winback-offers version 3 can't be read" in str(done[1].challenger_failure)
    assert str(done[3].challenger_failure).endswith("no such tree")
    assert told(deployment)[0] == champion


def other_plan(deployment: Any, refs: list[Any]) -> list[Any]:
    return [*refs[:2], replace(refs[2], plan_id="f" * 32)]


def other_bytes(deployment: Any, refs: list[Any]) -> list[Any]:
    [path] = Path(deployment.lake.uri.removeprefix("file://"), "staged_scores", MODEL).glob("*/00001.arrow")
    whole = path.read_bytes()
    path.write_bytes(whole[:-400] + bytes([whole[-400] ^ 1]) + whole[-399:])
    return refs


def no_file(deployment: Any, refs: list[Any]) -> list[Any]:
    [path] = Path(deployment.lake.uri.removeprefix("file://"), "staged_scores", MODEL).glob("*/00002.arrow")
    path.unlink()
    return refs


def other_plan_of_that_name(deployment: Any, refs: list[Any]) -> list[Any]:
    [path] = Path(deployment.lake.uri.removeprefix("file://"), "staged_scores", MODEL).glob("*/plan.json")
    path.write_text(path.read_text().replace(f'"features/{GROUP}": 0', f'"features/{GROUP}": 1'))
    return refs


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda _, refs: refs[:2], r"chunks 0 to 2, each once, and what was staged is \[0, 1\];"),
        (lambda _, refs: [refs[0], refs[1], refs[1]], r"\[0, 1, 1\];"),
        (other_plan, r"\[0, 1\];"),
        (other_bytes, r"00001.arrow .* is not what chunk 1 of winback 2024-03-10 staged"),
        (no_file, r"00002.arrow .* is not what chunk 2"),
        (other_plan_of_that_name, "is not plan"),
    ],
    ids=["too few", "twice", "another plan's", "altered", "gone", "another plan"],
)
def test_chunks_that_are_not_all_those_of_one_plan_are_not_committed(
    deployment: Any, change: Callable[[Any, list[Any]], list[Any]], why: str
) -> None:
    refs = [score_chunk(deployment, chunk) for chunk in plan_chunks(deployment, MODEL, partition=NIGHT)]
    with pytest.raises(MlopsError, match=why):
        commit_chunks(deployment, refs[0], change(deployment, refs))
    assert not deployment.lake.exists(f"predictions/{MODEL}")
    assert read_scoring_manifests(deployment.lake, MODEL, NIGHT) == []


def test_what_a_run_staged_and_gave_up_is_not_read_by_the_next_and_is_removed(
    deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS, LATER), LATER)
    publish(deployment, OTHER, feature_rows(OTHER, CUSTOMERS, LATER), LATER)
    first, *others = plan_chunks(deployment, MODEL, partition=NIGHT)
    given_up = score_chunk(deployment, first)
    plan_chunks(deployment, MODEL, partition=LATER)
    assert len(staged(deployment)) == 2

    again: list[Any] = []
    put = staged_scores.put

    def plan_again_and_put(*given: Any) -> None:
        monkeypatch.setattr(staged_scores, "put", put)
        again.extend(plan_chunks(deployment, MODEL, partition=NIGHT))
        put(*given)

    monkeypatch.setattr(staged_scores, "put", plan_again_and_put)
    with pytest.raises(RefusedError, match="does not stand any more"):
        score_chunk(deployment, others[1])

    assert [name.partition(".")[0] for name in staged(deployment)] == [NIGHT, LATER]
    assert staged(deployment)[0] == f"{NIGHT}.{again[0].plan_id}"
    for late in (lambda: score_chunk(deployment, others[0]), lambda: commit_chunks(deployment, first, [given_up])):
        with pytest.raises(RefusedError, match=r"does not stand any more: another run planned this night since"):
            late()
    commit_chunks(deployment, again[0], [given_up, *(score_chunk(deployment, chunk) for chunk in again)])
    # A day later, what was left of this one is nobody's, as is what a model left that is not any more.
    root = Path(deployment.lake.uri.removeprefix("file://"), "staged_scores")
    old = root / MODEL / f"{NIGHT}.{again[0].plan_id}"
    shutil.copytree(old, root / "no_model" / old.name)
    for path in (old, *old.iterdir(), root / "no_model" / old.name, *(root / "no_model" / old.name).iterdir()):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 25 * 3_600))
    [last, *_] = plan_chunks(deployment, MODEL, partition=LATER)
    assert sweep_staged(deployment) == 2
    assert staged(deployment) == [f"{LATER}.{last.plan_id}"]
    assert list((root / "no_model").iterdir()) == []
    remove_staged(deployment, last)
    assert staged(deployment) == []
    assert sweep_staged(deployment) == 0


def test_chunks_of_another_spec_or_engine_than_the_plans_are_refused(
    deployment: Any, specs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk, *_ = plan_chunks(deployment, MODEL, partition=NIGHT)
    real = deployment.model_registry.load
    with monkeypatch.context() as patch:
        patch.setattr(deployment.model_registry, "load", lambda *a, **k: replace(real(*a, **k), engine="onnx"))
        with pytest.raises(MlopsError, match="was planned to be scored by native, and this worker has onnx"):
            score_chunk(deployment, chunk)
    write_scoring(specs, MODEL, decision_threshold=0.123)
    with pytest.raises(MlopsError, match="the spec of winback here is not the one by which the chunks of 2024-03-10"):
        score_chunk(deployment, chunk)
    write_scoring(specs, MODEL, chunk_rows=None)
    with pytest.raises(UsageError, match=r"winback is scored by one task: its spec has no scoring\.chunk_rows"):
        plan_chunks(deployment, MODEL, partition=NIGHT)


def test_a_night_without_rows_and_one_in_no_order_are_one_chunk(deployment: Any) -> None:
    rows = feature_rows(GROUP, CUSTOMERS)
    for there in (rows.slice(0, 0), rows.take(pa.array(np.random.default_rng(0).permutation(len(rows))))):
        publish(deployment, GROUP, there)
        score_batch(deployment, MODEL, partition=NIGHT)
        expected = told(deployment)
        take_back(deployment)
        [chunk] = plan_chunks(deployment, MODEL, partition=NIGHT)
        commit_chunks(deployment, chunk, [score_chunk(deployment, chunk)])
        assert told(deployment) == expected


def test_a_commit_passes_a_chunk_on_before_it_reads_the_next(deployment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = [score_chunk(deployment, chunk) for chunk in plan_chunks(deployment, MODEL, partition=NIGHT)]
    seen: list[str] = []
    real_read, real_pieces = score_chunks.read_chunk, Scoring.pieces

    def read(*given: Any, **named: Any) -> Iterator[Any]:
        seen.append("read")
        yield from real_read(*given, **named)

    def pieces(self: Any) -> Iterator[Any]:
        for piece in real_pieces(self):
            seen.append("passed on")
            yield piece

    monkeypatch.setattr(score_chunks, "read_chunk", read)
    monkeypatch.setattr(Scoring, "pieces", pieces)
    commit_chunks(deployment, refs[0], refs)
    assert seen.count("read") == 3
    assert "read read" not in " ".join(seen)
