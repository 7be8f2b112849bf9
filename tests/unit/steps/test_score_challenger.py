"""Champion and challenger score a night in one commit, and no challenger takes the champion's scores down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from include import partitions
from include.adapters.lake import portions
from include.adapters.lake.scoring_manifests import read_scoring_manifests
from include.errors import MlopsError, UsageError
from include.governance.lifecycle import Stage
from include.steps import commit_scores as commit_module
from include.steps.read_night import Night
from include.steps.score_batch import score_batch
from tests.everyday import members
from tests.scoring_lake import BEFORE, NIGHT, break_a_second_slice, feature_rows, publish, scoring_lake

SPECS = Path(__file__).parents[2] / "overlays" / "more_models"
MODEL, GROUP, OTHER = "winback", "customer_daily", "churn_scores"
ONE, SAME, WIDER = 1, 2, 3
SERVICES = {(MODEL, ONE): "churn_v1", (MODEL, SAME): "churn_v1", (MODEL, WIDER): "customer_features"}
CUSTOMERS = [(f"c{n:03}",) for n in range(300)]


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    values = yaml.safe_load((SPECS / f"{MODEL}.yaml").read_text())
    values["scoring"]["challenger"] = True
    specs = tmp_path / "specs"
    specs.mkdir()
    (specs / f"{MODEL}.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.setenv("MLOPS_SPECS", str(specs))
    monkeypatch.setattr(portions, "ROWS_AT_ONCE", 70)
    monkeypatch.setattr(commit_module, "ROWS_OF_A_SLICE", 40)
    made = scoring_lake(tmp_path, SERVICES)
    for model_id, version in SERVICES:
        made.state.record_registration(model_id, version, run_id="r", files={})
    made.state.move(MODEL, ONE, Stage.PRODUCTION)
    publish(made, GROUP, feature_rows(GROUP, CUSTOMERS))
    publish(made, OTHER, feature_rows(OTHER, CUSTOMERS, churn_risk_score=np.linspace(0, 1, len(CUSTOMERS))))
    return made


def of_role(deployment: Any, role: str) -> pa.Table:
    rows = deployment.lake.read(f"predictions/{MODEL}", start=NIGHT, end=NIGHT)
    return rows.filter(pc.equal(rows["role"], role))


def manifests(deployment: Any) -> dict[str, Any]:
    return {each.role: each for each in read_scoring_manifests(deployment.lake, MODEL, NIGHT)}


@pytest.mark.parametrize("challenger", [SAME, WIDER], ids=["one service", "another service"])
def test_both_score_in_one_commit_what_each_scores_alone(
    deployment: Any, challenger: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {}
    for version, role in ((ONE, "champion"), (challenger, "challenger")):
        score_batch(deployment, MODEL, partition=NIGHT, shadow=None if role == "champion" else version)
        alone[role] = of_role(deployment, role)
    deployment.lake.replace(f"predictions/{MODEL}", alone["champion"].slice(0, 0), keys=[NIGHT])
    before = deployment.lake.version(f"predictions/{MODEL}")
    deployment.state.move(MODEL, challenger, Stage.STAGING)
    reads: list[str] = []
    real = Night.slices
    monkeypatch.setattr(Night, "slices", lambda self, **how: reads.append(self.service) or real(self, **how))

    scored = score_batch(deployment, MODEL, partition=NIGHT)

    assert {role: of_role(deployment, role).select(rows.column_names).equals(rows) for role, rows in alone.items()} == {
        "champion": True, "challenger": True,
    }  # fmt: skip
    assert deployment.lake.version(f"predictions/{MODEL}") == before + 1
    assert reads == ["churn_v1"] if challenger == SAME else ["churn_v1", "customer_features"]
    assert (scored.model_version, scored.challenger, scored.challenger_failure) == (ONE, challenger, None)
    told = manifests(deployment)
    assert {role: each.model_version for role, each in told.items()} == {"champion": ONE, "challenger": challenger}
    assert all(each.account.balances and each.account.scored == scored.rows > 100 for each in told.values())
    assert score_batch(deployment, MODEL, partition=NIGHT) == scored
    assert deployment.lake.version(f"predictions/{MODEL}") == before + 1


def break_registry(deployment: Any, _: pytest.MonkeyPatch) -> None:
    deployment.model_registry.unreadable.add(WIDER)


def break_features(deployment: Any, _: pytest.MonkeyPatch) -> None:
    deployment.state.forget(f"features/{OTHER}", NIGHT)


def break_scores(_: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    break_a_second_slice(monkeypatch)


def break_file(deployment: Any, _: pytest.MonkeyPatch) -> None:
    [path] = Path(deployment.lake.uri.removeprefix("file://"), "features", OTHER).rglob("*.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])


@pytest.mark.parametrize("had_scores", members([False, True], daily=[True]), ids=["no scores yet", "scores of before"])
@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (break_registry, "version 3 can't be read"),
        pytest.param(break_features, f"features/{OTHER} of {NIGHT} is not published", marks=pytest.mark.thorough),
        pytest.param(break_file, "was changed", marks=pytest.mark.thorough),
        (break_scores, "no such tree"),
    ],
    ids=["load", "publication", "read", "score"],
)
def test_a_challenger_that_fails_is_told_of_and_leaves_the_champion_and_what_it_had(
    deployment: Any,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[Any, pytest.MonkeyPatch], None],
    why: str,
    had_scores: bool,
) -> None:
    deployment.state.move(MODEL, WIDER, Stage.STAGING)
    if had_scores:
        score_batch(deployment, MODEL, partition=NIGHT)
        had, was = of_role(deployment, "challenger"), manifests(deployment)["challenger"]
        # A correction, so that there is something to commit.
        publish(deployment, GROUP, feature_rows(GROUP, CUSTOMERS, seed=5))
    broken(deployment, monkeypatch)

    scored = score_batch(deployment, MODEL, partition=NIGHT)

    assert (scored.model_version, scored.challenger) == (ONE, None)
    assert scored.challenger_failure is not None
    assert scored.challenger_failure.startswith("version 3, in Staging, did not score as challenger: ")
    assert why in scored.challenger_failure
    told = manifests(deployment)
    assert told["champion"].challenger_failure == scored.challenger_failure
    assert of_role(deployment, "champion").num_rows == scored.rows == told["champion"].account.scored > 100
    if had_scores:
        assert of_role(deployment, "challenger").equals(had)
        assert told["challenger"] == was
    else:
        assert of_role(deployment, "challenger").num_rows == 0
        assert set(told) == {"champion"}


def test_a_version_that_nobody_has_registered_is_wrong_use(deployment: Any) -> None:
    with pytest.raises(UsageError, match=f"{MODEL} has no version 99; .*mlops registry status --model {MODEL}"):
        score_batch(deployment, MODEL, partition=NIGHT, shadow=99)


def test_a_version_that_is_asked_for_by_its_number_fails_as_itself(
    deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_scores(deployment, monkeypatch)
    with pytest.raises(ValueError, match="no such tree"):
        score_batch(deployment, MODEL, partition=NIGHT, shadow=WIDER)
    deployment.model_registry.unreadable.add(WIDER)
    with pytest.raises(MlopsError, match="can't be read"):
        score_batch(deployment, MODEL, partition=NIGHT, shadow=WIDER)


@pytest.mark.parametrize(
    ("moves", "challenger"),
    [
        ([], None),
        ([(SAME, Stage.STAGING, BEFORE)], SAME),
        ([(SAME, Stage.STAGING, NIGHT)], None),
        ([(SAME, Stage.STAGING, BEFORE), (SAME, Stage.PRODUCTION, NIGHT)], SAME),
        ([(SAME, Stage.STAGING, partitions.shift(BEFORE, -1)), (SAME, Stage.ARCHIVED, BEFORE)], None),
    ],
    ids=["nobody", "staged before", "staged on the night", "promoted on the night", "archived before"],
)
def test_the_challenger_of_a_night_is_who_stood_in_staging_before_it(
    deployment: Any, moves: list[tuple[int, Stage, str]], challenger: int | None
) -> None:
    for version, stage, at in moves:
        deployment.state.move(MODEL, version, stage, at=at)
    assert score_batch(deployment, MODEL, partition=NIGHT).challenger == challenger
