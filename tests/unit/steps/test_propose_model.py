"""A model that begins as another one: what is written, and that nothing is overwritten or left half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.errors import SpecError, UsageError
from include.specs.deployed import load_specs
from include.specs.models import load_model
from include.specs.services import load_feature_service
from include.steps import propose_model as module
from include.steps.propose_model import propose_model, write_model


@pytest.fixture(autouse=True)
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the deployment's folder of overlays."""
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    return tmp_path


def test_a_copy_differs_in_its_names_alone_and_takes_what_the_overlay_says(overlay):
    (overlay / "churn.yaml").write_text("gates:\n  auc_min: 0.7\n")
    [path] = write_model(propose_model("churn60", like="churn"))
    assert path == overlay / "churn60.yaml"
    made, like = load_model("churn60"), load_model("churn")
    assert made.gates.auc_min == 0.7
    named = {"model_id": "churn60", "registered_name": "churn60"}
    assert made.model_dump() == like.model_dump() | named


def test_a_model_of_another_group_and_label_stands_beside_the_others(overlay):
    written = write_model(propose_model("returns", like="churn", group="order_risk", label="bought"))
    assert [path.relative_to(overlay).as_posix() for path in written] == [
        "services/returns_v1.yaml",
        "labels/bought.sql",
        "returns.yaml",
    ]
    specs = load_specs()
    assert specs.violations == ()
    assert specs.models["returns"].entity.keys == ("order_id",)
    assert "country" not in load_feature_service("returns_v1").feature_names


def test_every_key_is_told_beside_its_value(overlay):
    write_model(propose_model("churn60", like="churn"))
    lines = (overlay / "churn60.yaml").read_text().splitlines()
    silent = [line for line in lines if "#" not in line]
    assert all(line.endswith(":") or line.lstrip().startswith("- ") for line in silent)


NO_NAMES = ["Churn", "", "7days", "a-b", "../churn", "a b", "a\n", "x" * 51, "ä"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_no_id_is_refused(overlay, name):
    with pytest.raises(UsageError, match="is no id of a model"):
        propose_model(name, like="churn")
    assert list(overlay.iterdir()) == []


@pytest.mark.parametrize("label", NO_NAMES)
def test_a_label_that_could_be_no_kind_is_refused(overlay, label):
    with pytest.raises(UsageError, match="is no kind of label"):
        write_model(propose_model("returns", like="churn", group="order_risk", label=label))
    assert list(overlay.iterdir()) == []


def test_the_longest_name_makes_a_model_that_stands(overlay):
    name = "x" * 50
    write_model(propose_model(name, like="churn", group="order_risk", label="bought"))
    assert load_specs().violations == ()


def test_nothing_is_overwritten(overlay):
    (overlay / "labels").mkdir()
    (overlay / "mine.yaml").write_text("")
    with pytest.raises(UsageError, match=r"mine\.yaml is there already"):
        propose_model("mine", like="churn", group="order_risk", label="bought")
    assert sorted(path.name for path in overlay.rglob("*")) == ["labels", "mine.yaml"]


def test_a_disk_that_fails_leaves_nothing_half_written(overlay, monkeypatch):
    proposal = propose_model("mine", like="churn", group="order_risk", label="bought")
    write, written = module.write_new, []

    def fails_at_the_third(path: Path, text: str) -> Path:
        if len(written) == 2:
            raise OSError("no room")
        written.append(path)
        return write(path, text)

    monkeypatch.setattr(module, "write_new", fails_at_the_third)
    with pytest.raises(OSError, match="no room"):
        write_model(proposal)
    assert [path for path in overlay.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"like": "chrun"}, "did you mean 'churn'"),
        ({"like": "churn", "group": "customer_dail"}, "did you mean 'customer_daily'"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(given, match):
    with pytest.raises(SpecError, match=match):
        propose_model("mine", **given)


def test_an_entity_that_no_source_names_has_no_statement_to_begin_with():
    with pytest.raises(UsageError, match="there is no statement to begin with"):
        propose_model("mine", like="churn", group="churn_scores", label="bought")
