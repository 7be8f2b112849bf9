"""Every file of a deployment is found, and one that is wrong takes down what reads it and nothing else."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from include.errors import SpecError
from include.settings import PROJECT_ROOT
from include.specs import deployed, groups, models, services, sources
from include.specs.deployed import load_specs, read_ahead
from include.specs.groups import load_feature_group
from include.specs.labels import load_label_kind
from include.specs.models import load_model
from include.specs.services import load_feature_service
from include.specs.sources import load_source
from include.specs.yaml_files import CONFIG_ROOT, forget_names

MORE_MODELS = PROJECT_ROOT / "tests" / "overlays" / "more_models"
ELEC2 = PROJECT_ROOT / "tests" / "overlays" / "elec2"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Give a deployment's own copy of the configuration, of one model, without an overlay."""
    root = shutil.copytree(CONFIG_ROOT, tmp_path / "config")
    for path in {*(root / "models").iterdir()} - {root / "models" / "churn.yaml"}:
        path.unlink()
    for module in (deployed, groups, models, services, sources):
        monkeypatch.setattr(module, "CONFIG_ROOT", root)
    monkeypatch.delenv("MLOPS_SPECS")
    forget_names()
    yield root
    forget_names()


@pytest.fixture
def overlay(config, tmp_path, monkeypatch):
    folder = tmp_path / "overlay"
    folder.mkdir()
    monkeypatch.setenv("MLOPS_SPECS", str(folder))
    return folder


def edit(path, **values):
    """Write a file again with other values, under the path's name or another's."""
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}, sort_keys=False))
    return path


def second_model(config, **values):
    copy = shutil.copy(config / "models" / "churn.yaml", config / "models" / "fraud.yaml")
    return edit(copy, **{"model_id": "fraud", "registered_name": "fraud-detector", **values})


def messages(specs):
    return [violation.message for violation in specs.violations]


@pytest.mark.parametrize(
    "folder",
    [None, MORE_MODELS, *sorted((CONFIG_ROOT / "overlays").iterdir())],
    ids=lambda folder: folder and folder.name,
)
def test_the_shipped_files_stand_whole_under_each_overlay(monkeypatch, folder):
    monkeypatch.delenv("MLOPS_SPECS")
    if folder is not None:
        monkeypatch.setenv("MLOPS_SPECS", str(folder))
    specs = load_specs()
    assert specs.violations == ()

    def named(ships: str, laid: str) -> list[str]:
        folders = [CONFIG_ROOT / ships, *([folder / laid] if folder else [])]
        return sorted({path.stem for each in folders for path in each.glob("*.yaml")})

    assert list(specs.models) == named("models", ".")
    assert list(specs.groups) == named("features", "features")
    assert list(specs.services) == named("services", "services")


@pytest.mark.parametrize("values", ["description: 2026-13-45", "population: !!int x", "population: " + "[" * 3000])
def test_a_value_that_python_stumbles_over_takes_down_its_own_file_only(config, values):
    (config / "models" / "fraud.yaml").write_text(values)
    specs = load_specs()
    assert list(specs.models) == ["churn"]
    assert {violation.name for violation in specs.violations} == {"fraud"}


def test_every_violation_of_a_file_is_told_by_itself(config):
    second_model(config, ownr="x", gates={"auc_mim": 0.9})
    specs = load_specs()
    assert list(specs.models) == ["churn"]
    said = messages(specs)
    assert [message.split(";")[0] for message in said if "unknown key" in message] == [
        "fraud.yaml: unknown key 'gates.auc_mim'", "fraud.yaml: unknown key 'ownr'",
    ]  # fmt: skip
    assert {violation.name for violation in specs.violations} == {"fraud"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"gates: [", "fraud.yaml is not YAML", id="not YAML"),
        pytest.param(b"\xff\xfe", "fraud.yaml can't be read", id="not text"),
        pytest.param(b"- a", "fraud.yaml must be a mapping", id="not a mapping"),
        pytest.param(b"", "fraud.yaml must be a mapping", id="empty"),
    ],
)
@pytest.mark.parametrize("folder", ["models", "features", "services"])
def test_a_file_that_can_not_be_read_falls_alone(config, folder, content, message):
    (config / folder / "fraud.yaml").write_bytes(content)
    specs = load_specs()
    (said,) = messages(specs)
    assert said.startswith(message)
    assert (list(specs.models), len(specs.groups), len(specs.services)) == (["churn"], 5, 4)


def test_a_group_without_a_statement_falls(config):
    shutil.copy(config / "features" / "product_daily.yaml", config / "features" / "product_hourly.yaml")
    edit(config / "features" / "product_hourly.yaml", group="product_hourly")
    specs = load_specs()
    assert messages(specs) == [
        "product_hourly.yaml: group='product_hourly' has no statement; write include/features/product_hourly.sql"
    ]


def test_a_group_that_a_model_reads_takes_it_along(config):
    edit(config / "features" / "customer_daily.yaml", ttl_days="x")
    specs = load_specs()
    assert (list(specs.models), list(specs.services)) == ([], ["fraud_v1", "recommendation_v1"])
    assert any(
        message.startswith(
            "churn.yaml: features.group='customer_daily' can't be used: customer_daily.yaml: ttl_days='x'"
        )
        for message in messages(specs)
    )


@pytest.mark.parametrize("folder", ["models", "features", "services"])
@pytest.mark.parametrize("name", ["fraud.yml", "fraud.YAML"])
def test_a_file_of_another_ending_is_told_of_not_left_out(config, folder, name):
    (config / folder / name).write_text("model_id: fraud\n")
    assert messages(load_specs()) == [f"{name} is not read; rename it fraud.yaml"]


def test_an_overlay_that_was_meant_for_another_name_is_told_so(overlay):
    (overlay / "chrun.yaml").write_text("gates:\n  auc_min: 0.5\n")
    specs = load_specs()
    assert messages(specs)[0] == (
        "chrun.yaml is neither a whole model nor laid over one; known: churn; did you mean 'churn'?"
    )
    assert list(specs.models) == ["churn"]


def test_a_new_model_of_an_overlay_that_has_a_wrong_key_is_told_that_alone(overlay):
    values = yaml.safe_load((MORE_MODELS / "winback.yaml").read_text())
    (overlay / "winback.yaml").write_text(yaml.safe_dump({**values, "ownr": "x"}))
    specs = load_specs()
    assert [message.split(";")[0] for message in messages(specs)] == ["winback.yaml: unknown key 'ownr'"]
    assert list(specs.models) == ["churn"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        pytest.param(None, "there is no kind of label 'returned'", id="absent"),
        pytest.param(b"SELECT '\xe4'", "returned.sql can't be read: .*utf-8", id="not text"),
        pytest.param(b"SELECT 1", "returned.sql: \\$horizon_days is not declared", id="without a horizon"),
        pytest.param(
            b"-- $horizon_days int 0.5..9: x\nSELECT $horizon_days", "returned.sql: the bounds of .*0.5..9", id="bound"
        ),
        pytest.param(
            b"-- $horizon_days int: x\n-- $kind text 1..2: x\nSELECT $horizon_days, $kind", "returned.sql: \\$kind ",
            id="bound of a text",
        ),
        pytest.param(
            b"-- $horizon_days int: x\n-- $kind text: x\nSELECT $horizon_days, $kind", "returned.sql: \\$kind ",
            id="a name that is taken",
        ),
    ],
)  # fmt: skip
def test_a_label_without_a_good_statement_takes_down_its_model_alone(overlay, statement, message):
    shutil.copy(MORE_MODELS / "returned.yaml", overlay)
    if statement is not None:
        (overlay / "labels").mkdir()
        (overlay / "labels" / "returned.sql").write_bytes(statement)
    specs = load_specs()
    assert re.match(f"returned.yaml: label.kind='returned': {message}", messages(specs)[0]), messages(specs)
    assert list(specs.models) == ["churn"]


def test_a_label_that_reads_no_source_takes_down_its_models_alone(overlay):
    shutil.copy(MORE_MODELS / "returned.yaml", overlay)
    (overlay / "labels").mkdir()
    statement = (MORE_MODELS / "labels" / "returned.sql").read_text()
    (overlay / "labels" / "returned.sql").write_text(re.sub(r"(FROM|JOIN) orders\b", r"\1 order_lines", statement))
    specs = load_specs()
    said = "returned.sql: 'order_lines', which it reads, is no source; known: orders; did you mean 'orders'?"
    assert messages(specs) == [said, f"returned.yaml: label.kind='returned' can't be used: {said}"]
    assert list(specs.models) == ["churn"]
    assert "returned" not in specs.labels


def test_an_overlay_one_folder_too_high_is_told_so(config, monkeypatch):
    monkeypatch.setenv("MLOPS_SPECS", str(CONFIG_ROOT / "overlays"))
    assert [message.split(";")[0] for message in messages(load_specs())] == [
        f"{path.parent.name}/{path.name} is not read" for path in sorted((CONFIG_ROOT / "overlays").glob("*/*.yaml"))
    ]


def test_an_overlay_that_is_wrong_takes_down_its_model_alone(config, overlay):
    second_model(config)
    (overlay / "fraud.yaml").write_text("gates:\n  auc_mim: 0.5\n")
    specs = load_specs()
    assert list(specs.models) == ["churn"]
    assert "did you mean 'auc_min'" in messages(specs)[0]


def test_an_overlay_folder_that_is_not_there_leaves_no_model(config, monkeypatch, tmp_path):
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "absent"))
    specs = load_specs()
    assert list(specs.models) == []
    assert "is not a folder of overlays" in messages(specs)[0]


@pytest.mark.parametrize("kind", ["sources", "features", "services"])
def test_an_overlay_adds_specs_of_every_kind(overlay, kind):
    shutil.copytree(ELEC2 / kind, overlay / kind)
    added = {path.stem for path in (ELEC2 / kind).glob("*.yaml")}
    specs = load_specs()
    found = {"sources": specs.sources, "features": specs.groups, "services": specs.services}[kind]
    told = {violation.name for violation in specs.violations}
    # Whoever reads what another overlay would bring does not stand, and nothing else falls.
    assert added == (set(found) | told) & added
    assert told <= added
    assert {"churn", "customer_daily", "churn_v1", "orders"} <= {
        *specs.models, *specs.groups, *specs.services, *specs.sources,
    }  # fmt: skip


def test_an_overlay_without_a_groups_statement_is_told_where_to_write_it(overlay):
    shutil.copytree(ELEC2, overlay, dirs_exist_ok=True)
    (overlay / "features" / "half_hour_daily.sql").unlink()
    said = messages(load_specs())
    assert said[0] == (
        "half_hour_daily.yaml: group='half_hour_daily' has no statement; write "
        f"{overlay / 'features'}/half_hour_daily.sql"
    )


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("features/customer_daily", {"ttl_days": 3}, lambda specs: specs.groups["customer_daily"].ttl_days == 3),
        ("services/churn_v1", {"owner": "ada"}, lambda specs: specs.services["churn_v1"].owner == "ada"),
        ("sources/orders", {"time_zone": "Europe/Berlin"}, lambda specs: specs.sources["orders"].day_starts == "00:00"),
        (
            "sources/orders",
            {"formats": {"till": {"delimiter": ";"}}},
            lambda specs: specs.sources["orders"].format_names[-1] == "till",
        ),
    ],
)
def test_an_overlay_lays_values_over_a_spec_that_ships(overlay, name, values, found):
    path = overlay / f"{name}.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(values))
    specs = load_specs()
    assert specs.violations == ()
    assert found(specs)


@pytest.mark.parametrize("name", ["features/customer_daily", "services/churn_v1", "sources/orders"])
def test_an_overlay_may_not_bring_a_key_of_another_name(overlay, name):
    path = overlay / f"{name}.yaml"
    path.parent.mkdir()
    path.write_text("ownr: x\n")
    assert messages(load_specs())[0].startswith(f"{path.name}: unknown key 'ownr'; allowed: ")


EVERY_KIND = {
    "sources/orders.yaml": lambda: load_source("orders").description,
    "features/customer_daily.yaml": lambda: load_feature_group("customer_daily").description,
    "services/churn_v1.yaml": lambda: load_feature_service("churn_v1").description,
    "models/churn.yaml": lambda: load_model("churn").description,
}


@pytest.mark.parametrize("name", EVERY_KIND)
def test_a_spec_that_changes_after_it_was_read_ahead_is_what_its_file_says(config, name):
    read_ahead()
    path = config / name
    found, described = path.stat(), re.search(r"^description: (.*)$", path.read_text(), re.MULTILINE)
    # In as many bytes, and with the same times.
    after = described[1].swapcase()
    path.write_text(path.read_text().replace(described[1], after))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert EVERY_KIND[name]() == after


def test_a_label_that_changes_after_it_was_read_ahead_is_what_its_file_says(overlay):
    (overlay / "labels").mkdir()
    kind = shutil.copy(PROJECT_ROOT / "include" / "question" / "labels" / "no_order.sql", overlay / "labels/quiet.sql")
    read_ahead()
    text = Path(kind).read_text()
    Path(kind).write_text(text.replace("1..", "7.."))
    spec = load_label_kind("quiet", overlay).spec
    with pytest.raises(ValidationError, match="greater than or equal to 7"):
        spec(kind="quiet", horizon_days=3)


def test_what_is_wrong_when_it_is_read_ahead_is_told_to_whoever_loads_it(config):
    edit(config / "models" / "churn.yaml", owner=1)
    read_ahead()
    with pytest.raises(SpecError, match=r"churn\.yaml: owner=1"):
        load_model("churn")


@pytest.mark.parametrize(("folder", "like", "key"), [
    (".", "models/churn", "model_id"),
    ("features", "features/order_risk", "group"),
    ("sources", "sources/orders", "source"),
])  # fmt: skip
def test_a_name_that_dags_their_tags_or_tables_can_not_have_falls_alone(overlay, folder, like, key):
    """Airflow refuses a file of DAGs for one tag that is too long, and with it everybody's."""
    (overlay / folder).mkdir(exist_ok=True)
    for name in ("x" * 50, "y" * 51, "z" * 120):
        copy = shutil.copy(CONFIG_ROOT / f"{like}.yaml", overlay / folder / f"{name}.yaml")
        others = {"model_id": {"registered_name": name[:9]}, "source": {"dag_id": None}}
        edit(copy, **{key: name, **others.get(key, {})})
        if key == "group":
            shutil.copy(PROJECT_ROOT / "include" / "features" / "order_risk.sql", copy.with_suffix(".sql"))
    told = {violation.name: violation.message for violation in load_specs().violations}
    assert told.keys() == {"y" * 51, "z" * 120}
    for name, message in told.items():
        assert f"{name}.yaml: {key}='{name}': String should have at most 50 characters" in message


def test_what_reads_a_source_that_is_wrong_is_not_told_that_it_says_nothing_of_people(config):
    edit(config / "sources" / "orders.yaml", owner=1)
    told = next(said for said in messages(load_specs()) if said.startswith("customer_daily.yaml"))
    assert "whose data are rows by customer_id? orders.yaml can't be used, and may say it: correct it first" in told
