"""What a task can't do is refused at load, with the file, the key and why."""

from __future__ import annotations

import shutil

import pytest
import yaml

from include.errors import SpecError
from include.settings import PROJECT_ROOT
from include.specs import models
from include.specs.deployed import load_specs
from include.specs.model_sections import FeaturesSpec
from include.specs.models import BinaryModelSpec, RankingModelSpec, load_model
from include.specs.services import FeatureServiceSpec
from include.specs.whole import hold_together
from include.steps.propose_model import propose_model, write_model
from tests.unit.specs.test_whole import SHIPPED, beside, group
from tests.unit.training.examples_builder import make_ranking_spec

RANKINGS = PROJECT_ROOT / "tests" / "overlays" / "rankings"
PAIR = {"name": "pair", "keys": ["customer_id", "category"]}


def values_of(task: str) -> dict:
    """Return a whole model as YAML has it."""
    values = load_model("churn").model_dump(mode="json") | {"model_id": "mine", "registered_name": "mine"}
    if task == "ranking":
        values |= {"task": "ranking", "ranking": {"top_k": 3}, "entity": PAIR}
        values["gates"] = {"ndcg_min": 0.3, "latency_p99_ms_max": 50.0}
        values["scoring"] = {"rescore_days": 7}
    return values


def load(folder, values: dict):
    (folder / "mine.yaml").write_text(yaml.safe_dump(values))
    return models._load_model.__wrapped__("mine", folder)


def changed(values: dict, key: str, value: object) -> dict:
    """Return values with another one at a dotted key; None takes it out."""
    first, _, rest = key.partition(".")
    if rest:
        return values | {first: changed(values.get(first, {}), rest, value)}
    return {name: each for name, each in (values | {key: value}).items() if each is not None}


@pytest.mark.parametrize(("task", "schema"), [("binary", BinaryModelSpec), ("ranking", RankingModelSpec)])
def test_a_model_has_the_schema_of_its_task_and_the_parameters_of_its_label(tmp_path, task, schema):
    spec = load(tmp_path, values_of(task))
    assert isinstance(spec, schema)
    assert spec.task == task
    assert spec.label.parameters == load_model("churn").label.parameters != {}


def test_the_last_key_of_a_ranking_names_the_item(tmp_path):
    spec = load(tmp_path, values_of("ranking"))
    assert (spec.list_keys, spec.item_key, spec.decides_by) == (("customer_id",), "category", {"top_k": 3})


@pytest.mark.parametrize(
    ("task", "key", "value", "match"),
    [
        ("binary", "task", None, r"mine.yaml: task \(binary or ranking\) is missing"),
        ("binary", "task", "rankin", r"mine.yaml: task='rankin'; allowed: binary, ranking; did you mean 'ranking'\?"),
        ("binary", "task", ["binary"], r"mine.yaml: task=\['binary'\]; allowed: binary, ranking"),
        ("binary", "gates.ndcg_min", 0.3, "gates.ndcg_min is a key of task: ranking; task: binary has gates.auc_min, "),
        ("binary", "ranking.top_k", 3, "ranking.top_k is a key of task: ranking; task: binary has gates.auc_min"),
        ("binary", "ranking", {"top": 3}, "unknown key 'ranking'"),
        ("binary", "scoring.decision_threshold", None, "scoring.decision_threshold is missing"),
        ("ranking", "gates.auc_min", 0.8, "gates.auc_min is a key of task: binary; task: ranking has .*gates.ndcg_min"),
        ("ranking", "scoring.decision_threshold", 0.5, "is a key of task: binary; task: ranking has .*ranking.top_k"),
        ("ranking", "task", "binary", "ranking.top_k is a key of task: ranking; task: binary has"),
        ("ranking", "ranking", None, "mine.yaml: ranking is missing"),
        ("ranking", "ranking.top_k", 0, "ranking.top_k=0: .*greater than or equal to 1"),
        ("ranking", "ranking.top_k", 2.5, "ranking.top_k=2.5: .*integer"),
        ("ranking", "ranking.topk", 3, "unknown key 'ranking.topk'; allowed: top_k; did you mean 'top_k'"),
        ("ranking", "scoring", {"compute": "spark", "chunk_rows": 1_000}, "chunk_rows=1000 are two ways to many"),
        ("ranking", "scoring.chunk_rows", 999, "scoring.chunk_rows=999: .*greater than or equal to 1000"),
        ("ranking", "gates.ndcg_min", None, "gates.ndcg_min is missing"),
        ("ranking", "gates.ndcg_min", 1.2, "gates.ndcg_min=1.2: .*less than or equal to 1"),
        (
            "ranking",
            "entity.keys",
            ["customer_id"],
            r"mine.yaml: entity.keys=\[customer_id\] makes no lists, which task: ranking orders: the last key names",
        ),
    ],
)
def test_what_a_task_does_not_have_is_refused_with_file_key_and_reason(tmp_path, task, key, value, match):
    with pytest.raises(SpecError, match=match):
        load(tmp_path, changed(values_of(task), key, value))


def test_a_ranking_that_nothing_tells_the_items_of_is_refused():
    spec = make_ranking_spec()
    pairs = group("pairs", entity=spec.entity)
    spec = spec.model_copy(update={"model_id": "mine", "registered_name": "mine"})
    spec = spec.model_copy(update={"features": FeaturesSpec(service="mine_v1", group="pairs")})

    def wrong(**features):
        service = FeatureServiceSpec(service="mine_v1", description="d", owner="o", features=features)
        held = hold_together(beside(SHIPPED, groups=[pairs], services=[service], models=[spec]))
        return [found.message for found in held.violations_of("model", "mine")]

    said = "reads no group that has the key category, so that all items of a list would have one score"
    assert any(said in message for message in wrong(customer_daily=("total_orders_30d",)))
    assert not any(said in message for message in wrong(customer_daily=("total_orders_30d",), pairs=("tenure_days",)))


def test_a_ranking_is_begun_as_another_one(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", str(shutil.copytree(RANKINGS, tmp_path / "specs")))
    write_model(propose_model("mine", like="next_shelf"))
    assert load_specs().violations == ()
    spec, like = load_model("mine"), load_model("next_shelf")
    assert (spec.task, spec.decides_by, spec.gates) == ("ranking", {"top_k": 2}, like.gates)
    told = (tmp_path / "specs" / "mine.yaml").read_text()
    assert "top_k: 2  # places of a list that are read" in told


def test_a_gate_that_any_ranking_passes_is_told():
    gates = make_ranking_spec().gates
    assert list(gates.tell_idle()) == []
    [said] = gates.model_copy(update={"ndcg_min": 0.0}).tell_idle()
    assert said.startswith("gates.ndcg_min=0 is no threshold")
