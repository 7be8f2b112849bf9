"""What `mlops registry verify` finds: on a real PostgreSQL of two roles, a real MLflow, and a lake in a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.registry.model_registry import ModelRegistryAdapter
from include.adapters.state.tables import promotion_ledger, registration
from include.cli.main import cli
from include.errors import MlopsError, RefusedError, SpecError
from include.governance.chain import row_sha256
from include.governance.lifecycle import MoveRequest, promote, stage_candidate
from include.refs import CandidateRef, TrainingSetRef
from include.steps.gate_candidate import gate_candidate
from include.steps.load_version import load_version
from include.steps.move_model import project
from include.steps.train_model import TRAINING_SET_TAG, train_model
from include.steps.verify_registry import require_verified, verify_registry
from include.training.artifacts import CHECKSUMS, checksums, with_checksums
from include.training.version import train_version
from tests.everyday import members
from tests.state_roles import StateRoles, create_state, rewrite
from tests.unit.governance.evidence_builder import make_evidence
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

NAME, NIGHT = "churn-predictor", "2026-03-14"
PINNED = ["model.ubj", "model.onnx", "signature.json", "reference_profile.json", "manifest.json", "metrics.json"]


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    spec, examples = make_spec(), make_examples()
    return dict(train_version(spec, make_manifest(spec, examples), examples).files)


@pytest.fixture(scope="module")
def base(postgres_url, files, tmp_path_factory) -> Iterator[tuple[StateRoles, Path, ModelRegistryAdapter]]:
    """Two versions, of which the second replaced the first: five moves, two registrations."""
    folder = tmp_path_factory.mktemp("verify")
    mlflow = ModelRegistryAdapter(f"sqlite:///{folder / 'mlflow.db'}", (folder / "files").as_uri(), folder / "cache")
    mlflow.initialise()
    roles = create_state(postgres_url, "verify")
    made = deployed(roles, folder / "lake", mlflow)
    for version in (1, 2):
        register(made, {**files, "model_card.md": f"version {version}".encode()})
        for plan in (stage_candidate, promote):
            move(made, plan, version)
    project(made, "churn")
    return roles, folder / "lake", mlflow


@pytest.fixture
def deployment(base, tmp_path, monkeypatch) -> Iterator[SimpleNamespace]:
    """The same, to be tampered with: its lake is a copy, its histories and MLflow are put right afterwards."""
    monkeypatch.setattr("include.steps.verify_registry._MOMENT_S", 0.01)
    roles, lake, mlflow = base
    shutil.copytree(lake, tmp_path / "lake")
    with roles.restored():
        yield deployed(roles, tmp_path / "lake", mlflow)
    project(deployed(roles, lake, mlflow), "churn")


def deployed(roles: StateRoles, lake: Path, mlflow: ModelRegistryAdapter) -> SimpleNamespace:
    return SimpleNamespace(roles=roles, state=roles.app, lake=LakeAdapter(lake.as_uri()), model_registry=mlflow)


def register(made, files, *, pinned: bool = True, **tags: str) -> int:
    """Register a version as `mlops train` does, or without a word of it in the ledger."""
    sealed = with_checksums({name: content for name, content in files.items() if name != CHECKSUMS})
    said = {"run_name": "a run", "params": {}, "metrics": {}, "tags": {"model_id": "churn", **tags}}
    found = made.model_registry.register(NAME, files=sealed, **said)
    if pinned:
        made.state.record_registration("churn", found.version, run_id=found.run_id, files=checksums(sealed))
    return found.version


def move(made, plan, version) -> None:
    request = MoveRequest("churn", version, NIGHT, "ada", "because", make_evidence(NIGHT))
    made.state.append_moves(plan(made.state.ledger("churn"), request))


def found(made) -> list[str]:
    return [str(finding) for finding in verify_registry(made, "churn").findings]


def sql(*statements: str) -> Callable[[SimpleNamespace], None]:
    def tamper(made: SimpleNamespace) -> None:
        with made.roles.forger() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    return tamper


def write_anew(table: str, changes: dict[int, dict[str, object]]) -> Callable[[SimpleNamespace], None]:
    def tamper(made: SimpleNamespace) -> None:
        with made.roles.forger() as connection:
            rewrite(connection, table, "churn", changes)

    return tamper


def change_row_and_its_hash(made: SimpleNamespace) -> None:
    row = {**made.state.histories("churn")["promotion_ledger"][2], "actor": "mallory"}
    change = {"actor": "mallory", "row_sha256": row_sha256(row)}
    with made.roles.forger() as connection:
        connection.execute(sa.update(promotion_ledger).where(promotion_ledger.c.seq == 3).values(**change))


def add_a_row(made: SimpleNamespace) -> None:
    row = {**made.state.histories("churn")["promotion_ledger"][4], "seq": 6}
    with made.roles.owner() as connection:
        connection.execute(sa.insert(promotion_ledger).values(**row))


def pin_other_files(made: SimpleNamespace) -> None:
    row = {**made.state.histories("churn")["registration"][1]}
    row["files"] = {**row["files"], "model.onnx": "0" * 64}
    with made.roles.forger() as connection:
        connection.execute(sa.update(registration).where(registration.c.seq == 2).values(files=row["files"]))


TAMPERINGS = {
    "a-row-changed": (
        sql("UPDATE promotion_ledger SET reason = 'nothing to see' WHERE seq = 3"),
        ["promotion_ledger, churn row 3: was changed"],
    ),
    "evidence-changed": (
        sql("UPDATE promotion_ledger SET evidence = jsonb_set(evidence, '{gates,0,value}', '0.99') WHERE seq = 1"),
        ["promotion_ledger, churn row 1: was changed"],
    ),
    "a-row-backdated": (
        sql("UPDATE promotion_ledger SET recorded_at = recorded_at - interval '1 microsecond' WHERE seq = 5"),
        ["promotion_ledger, churn row 5: was changed"],
    ),
    "a-row-and-its-hash-changed": (
        change_row_and_its_hash,
        ["promotion_ledger, churn row 3: was written anew"],
    ),
    "a-row-removed": (
        sql("DELETE FROM promotion_ledger WHERE seq = 3"),
        ["promotion_ledger, churn row 3: is missing"],
    ),
    "a-row-removed-and-the-others-moved-up": (
        sql(
            "DELETE FROM promotion_ledger WHERE seq = 3",
            "UPDATE promotion_ledger SET seq = 3 WHERE seq = 4",
            "UPDATE promotion_ledger SET seq = 4 WHERE seq = 5",
        ),
        [
            "promotion_ledger, churn row 3: was written as row 4",
            "promotion_ledger, churn row 4: was written as row 5",
            "promotion_ledger, churn row 5: is missing",
        ],
    ),
    "rows-in-another-order": (
        sql(
            "UPDATE promotion_ledger SET seq = 99 WHERE seq = 2",
            "UPDATE promotion_ledger SET seq = 2 WHERE seq = 3",
            "UPDATE promotion_ledger SET seq = 3 WHERE seq = 99",
        ),
        [
            "promotion_ledger, churn row 2: was written as row 3",
            "promotion_ledger, churn row 3: was written as row 2",
        ],
    ),
    "the-newest-rows-cut": (
        sql("DELETE FROM promotion_ledger WHERE seq > 3"),
        ["promotion_ledger, churn row 4: is missing", "promotion_ledger, churn row 5: is missing"],
    ),
    "the-whole-chain-written-anew": (
        write_anew("promotion_ledger", {4: {"actor": "mallory"}}),
        ["promotion_ledger, churn row 4: was written anew", "promotion_ledger, churn row 5: was written anew"],
    ),
    "a-row-put-in": (add_a_row, ["promotion_ledger, churn row 6: was written as row 5"]),
    "all-rows-removed": (
        sql("DELETE FROM promotion_ledger", "DELETE FROM registration"),
        [
            *(f"promotion_ledger, churn row {seq}: is missing" for seq in range(1, 6)),
            *(f"registration, churn row {seq}: is missing" for seq in (1, 2)),
        ],
    ),
    "other-files-pinned": (pin_other_files, ["registration, churn row 2: was changed"]),
    "a-registration-removed": (
        sql("DELETE FROM registration WHERE seq = 1"),
        ["registration, churn row 1: is missing"],
    ),
    "a-registration-given-to-another-version": (
        sql("UPDATE registration SET version = 3 WHERE seq = 2"),
        ["registration, churn row 2: was changed"],
    ),
}


def test_what_nobody_tampered_with_is_whole(deployment):
    whole = verify_registry(deployment)
    assert (whole.findings, whole.rows) == ((), 7)
    assert require_verified(deployment)["rows"] == 7


@pytest.mark.parametrize(
    "tampering",
    members(
        TAMPERINGS,
        daily=[
            "a-row-changed",
            "a-row-removed",
            "the-whole-chain-written-anew",
            "other-files-pinned",
        ],
    ),
)
def test_history_that_was_tampered_with_is_found_with_the_row(deployment, tampering):
    tamper, told = TAMPERINGS[tampering]
    tamper(deployment)
    lines = [line for line in found(deployment) if "(version" not in line]
    assert len(lines) == len(told)
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=True)), lines
    with pytest.raises(RefusedError, match=told[0]):
        require_verified(deployment)


def test_triggers_that_were_switched_off_are_found(deployment):
    with deployment.roles.owner() as connection:
        connection.execute(sa.text("ALTER TABLE promotion_ledger DISABLE TRIGGER USER"))
    assert found(deployment) == ["promotion_ledger: its guard is gone or off; deploy again"]


MOVED = {
    "an-alias-moved": (
        lambda client: client.set_registered_model_alias(NAME, "production", "1"),
        "promotion_ledger, churn row 5 (version 2): MLflow's alias production points at version 1, the ledger says "
        "version 2; put right",
    ),
    "an-alias-removed": (
        lambda client: client.delete_registered_model_alias(NAME, "previous"),
        "promotion_ledger, churn row 4 (version 1): MLflow's alias previous points at nothing, the ledger says "
        "version 1; put right",
    ),
    "an-alias-added": (
        lambda client: client.set_registered_model_alias(NAME, "staging", "1"),
        "promotion_ledger, churn: MLflow's alias staging points at version 1, the ledger says nothing; put right",
    ),
    "a-stage-written": (
        lambda client: client.set_model_version_tag(NAME, "1", "lifecycle", "Production"),
        "promotion_ledger, churn row 4 (version 1): MLflow's tag says Production, the ledger Archived; put right",
    ),
}


@pytest.mark.parametrize("moved", members(MOVED, daily=["an-alias-moved", "a-stage-written"]))
def test_what_was_moved_in_mlflow_is_told_and_put_right(deployment, moved):
    act, told = MOVED[moved]
    before = deployment.model_registry.aliases(NAME), deployment.model_registry.get(NAME, 1).tags["lifecycle"]
    act(deployment.model_registry._client)
    assert found(deployment) == [told]
    assert found(deployment) == []
    after = deployment.model_registry.aliases(NAME), deployment.model_registry.get(NAME, 1).tags["lifecycle"]
    assert after == before


def test_a_move_that_mlflow_repeats_a_moment_later_is_no_finding(deployment, monkeypatch):
    move(deployment, stage_candidate, register(deployment, {"model.onnx": b"a"}))
    monkeypatch.setattr("include.steps.verify_registry.time.sleep", lambda _: project(deployment, "churn"))
    assert found(deployment) == []


def test_mlflow_does_not_follow_a_ledger_that_is_not_whole(deployment):
    write_anew("promotion_ledger", {5: {"to_stage": "Archived"}, 4: {"to_stage": "Production"}})(deployment)
    before = deployment.model_registry.aliases(NAME)
    assert found(deployment)
    assert deployment.model_registry.aliases(NAME) == before


def swap(made, version: int, files: dict[str, bytes]) -> None:
    """Put other files in the place of a version's, and the tag of their checksums with them."""
    client = made.model_registry._client
    run = client.get_run(made.model_registry.get(NAME, version).run_id)
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / "model"
    shutil.rmtree(folder)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    client.set_model_version_tag(NAME, str(version), "checksums_sha256", hashlib.sha256(files[CHECKSUMS]).hexdigest())


@pytest.mark.parametrize("loaded_before", [True, False], ids=["cached", "not-cached"])
@pytest.mark.parametrize("name", members(PINNED, daily=["model.onnx"]))
def test_artifacts_swapped_together_with_their_tag_are_refused_and_found(deployment, files, name, loaded_before):
    version = register(deployment, files)
    if loaded_before:
        load_version(deployment, "churn", version)
    plain = {each: content for each, content in files.items() if each != CHECKSUMS}
    swap(deployment, version, with_checksums({**plain, name: plain[name] + b"\n"}))
    with pytest.raises(MlopsError, match=rf"{NAME} version {version} is not loaded: {name} is not what the ledger"):
        load_version(deployment, "churn", version)
    with pytest.raises(MlopsError, match="is not what the ledger"):
        gate_candidate(deployment, CandidateRef("churn", version, "run", NIGHT))
    assert found(deployment) == [
        f"registration, churn row 3 (version {version}): {name}: the artifact store holds something else than was "
        "registered"
    ]


def test_another_version_whole_in_the_place_of_one_is_refused(deployment, files):
    other = with_checksums({**{n: c for n, c in files.items() if n != CHECKSUMS}, "model_card.md": b"of another"})
    version = register(deployment, files)
    swap(deployment, version, other)
    with pytest.raises(MlopsError, match=r"model_card\.md is not what the ledger"):
        load_version(deployment, "churn", version)


def test_a_version_that_is_gone_from_mlflow_is_found(deployment, files):
    version = register(deployment, files)
    deployment.model_registry._client.delete_model_version(NAME, str(version))
    assert found(deployment) == [
        f"registration, churn row 3 (version {version}): this version is not in MLflow any more; bring it back from a "
        "backup"
    ]


def test_a_version_from_before_files_were_pinned_is_loaded_and_said_to_be(deployment, files):
    version = register(deployment, files, pinned=False)
    move(deployment, stage_candidate, version)
    project(deployment, "churn")
    assert load_version(deployment, "churn", version).signature
    told = verify_registry(deployment, "churn")
    assert told.findings == ()
    assert f"churn version {version}: was registered before the ledger kept what with:" in "\n".join(
        map(str, told.notes)
    )


def test_a_version_that_no_history_knows_is_not_loaded(deployment, files):
    version = register(deployment, files, pinned=False)
    with pytest.raises(MlopsError, match="knows neither its registration nor a move of it"):
        load_version(deployment, "churn", version)
    with pytest.raises(MlopsError, match="knows neither"):
        gate_candidate(deployment, CandidateRef("churn", version, "run", NIGHT))


def test_a_training_that_was_killed_before_it_recorded_its_version_records_it_when_it_is_retried(deployment, files):
    version = register(deployment, files, pinned=False, **{TRAINING_SET_TAG: "set-9"})
    candidate = train_model(deployment, TrainingSetRef("churn", "set-9", NIGHT, 1, "aa"))
    assert candidate.version == version
    assert deployment.state.registration("churn", version).files == checksums(files)


def verify(made, monkeypatch, *arguments: str):
    monkeypatch.setattr("include.cli.registry.open_deployment", lambda: made)
    return CliRunner().invoke(cli, ["registry", "verify", *arguments], standalone_mode=False, catch_exceptions=False)


def test_the_command_prints_a_line_for_each_finding_and_says_no(deployment, monkeypatch):
    whole = verify(deployment, monkeypatch, "churn")
    assert (whole.return_value, whole.stdout) == (
        0,
        "7 rows of churn are whole; MLflow and the artifacts agree\n",
    )
    sql("DELETE FROM promotion_ledger WHERE seq = 2")(deployment)
    broken = verify(deployment, monkeypatch)
    assert broken.return_value == 1
    assert [line for line in broken.stdout.splitlines()] == found(deployment)
    assert json.loads(verify(deployment, monkeypatch, "--json").stdout)["ok"] is False


def test_a_model_that_is_not_there_is_wrong_use(deployment, monkeypatch):
    with pytest.raises(SpecError, match="chrn"):
        verify(deployment, monkeypatch, "chrn")
