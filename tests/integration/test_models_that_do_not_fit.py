"""Models that ask for what is not there: exit 2 with the file, the key and the nearest name, and nothing written.

Each is one that ships, with one thing wrong.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.specs.labels import LABELS_ROOT
from include.specs.yaml_files import CONFIG_ROOT
from tests import commands
from tests.everyday import members

# By the name of the file: the model that it is but for some values, these by their keys, and what is told.
AT_LOAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "comparison": (
        "fraud",
        {"population": "order_valu >= 0"},
        r"population='order_valu >= 0' names order_valu, which is no column of order_risk; .*mean 'order_value'\?",
    ),
    "second_of_two": (
        "churn",
        {"population": "days_since_last_order <= 30 AND total_order_30d > 0"},
        r"population=.* names total_order_30d, .* of customer_daily; .*did you mean 'total_orders_30d'\?",
    ),
    "in_a_function": (
        "recommendation",
        {"population": "coalesce(shop_rank_30d, country_rnk_30d) <= 20"},
        r"population=.* names country_rnk_30d, .* of customer_category_daily; .*did you mean 'country_rank_30d'\?",
    ),
    "as_a_bound": (
        "fraud",
        {"population": "lines BETWEEN 1 AND unit"},
        r"population=.* names unit, .* of order_risk; .*did you mean 'units'\?",
    ),
    "shouted": (
        "fraud",
        {"population": "ORDER_VALUE >= 0"},
        r"population=.* names ORDER_VALUE, .* of order_risk; .*did you mean 'order_value'\?",
    ),
    "of_another_group": (
        "recommendation",
        {"population": "shop_rank_30d <= 20 AND days_since_last_ordr <= 7 AND total_orders_30d > 1"},
        r"population=.* names days_since_last_ordr, .*did you mean 'days_since_last_order'\?\n"
        r"of_another_group.yaml: population=.* names total_orders_30d, which is no column of customer_category_daily",
    ),
    "key_of_another_group": (
        "recommendation",
        {"population": "order_id IS NOT NULL AND custmer_id <> ''"},
        r"population=.* names order_id, .*\n"
        r"key_of_another_group.yaml: population=.* names custmer_id, .*did you mean 'customer_id'\?",
    ),
    "misspelt_task": ("churn", {"task": "binry"}, r"task='binry'; allowed: binary, ranking; did you mean 'binary'\?"),
    "without_task": ("fraud", {"task": None}, r"task \(binary or ranking\) is missing"),
    "list_of_tasks": ("churn", {"task": ["binary"]}, r"task=\['binary'\]; allowed: binary, ranking"),
    "ranking_of_orders": (
        "fraud",
        {
            "task": "ranking",
            "gates": {"ndcg_min": 0.5, "latency_p99_ms_max": 50},
            "ranking": {"top_k": 5},
            "scoring": {},
        },
        r"entity.keys=\[order_id\] makes no lists, which task: ranking orders: .*, or task: binary",
    ),
    "ranking_of_probabilities": (
        "churn",
        {"task": "ranking"},
        r"gates.auc_min is a key of task: binary; task: ranking has gates.ndcg_min, ranking.top_k in its place\n"
        r"ranking_of_probabilities.yaml: scoring.decision_threshold is a key of task: binary",
    ),
    "binary_of_lists": (
        "recommendation",
        {"task": "binary"},
        r"gates.ndcg_min is a key of task: ranking; task: binary has gates.auc_min, scoring.decision_threshold in its "
        r"place\nbinary_of_lists.yaml: ranking.top_k is a key of task: ranking",
    ),
    "items_alike": (
        "recommendation",
        {"features": {"service": "churn_v1", "group": "customer_category_daily"}},
        r"features.service='churn_v1' reads no group that has the key category, so that all items of a list would",
    ),
    "keys_turned": (
        "recommendation",
        {"entity": {"name": "customer_category", "keys": ["category", "customer_id"]}},
        r"entity=customer_category \[category, customer_id\] has other keys than in ",
    ),
}

OVER = "examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))"
WITHIN = f"orders.received_at <= $known_until AND orders.ordered_at BETWEEN examples.event_timestamp AND {OVER}"
# How each model's label joins the orders: without grouping, an example has one row for each.
JOINS = {
    "churn": "orders.customer_id = examples.customer_id",
    "fraud": "orders.ref_order_id = examples.order_id AND $cancellations = 'count'",
    "recommendation": "orders.customer_id = examples.customer_id AND orders.category = examples.category",
}
TWICE = r"label.kind='{kind}': {kind}.sql gives an example more than one label; one row per "
EARLY = r"label.kind='{kind}': {kind}.sql knows the label {label} of \d+ examples {after} after their time, where "
TRIED: dict[str, tuple[str, dict[str, Any], str]] = {
    **{f"{model}_twice": (model, {}, TWICE) for model in JOINS},
    "churn_at_once": ("churn", {}, EARLY.format(kind="{kind}", label=1, after="0:00:00")),
    "fraud_at_once": ("fraud", {}, EARLY.format(kind="{kind}", label=0, after="0:00:00")),
    "recommendation_a_day_early": (
        "recommendation",
        {},
        EARLY.format(kind="{kind}", label=0, after="13 days, 0:00:00"),
    ),
    "function_that_is_not": ("churn", {"population": "youth(tenure_days) < 3"}, r"population=.*: .*youth"),
    "text_of_a_number": ("fraud", {"population": "order_value > 'much'"}, r"population=.*: .*much"),
}
# One of a label and one of what chooses the rows, and no dearer one.
EVERY_DAY = ("recommendation_a_day_early", "function_that_is_not")


def statement_of(name: str) -> str | None:
    """Return the statement of a model's label, where that is what is wrong."""
    model, _, fault = name.partition("_")
    if model not in JOINS:
        return None
    shipped = read(model)
    declared, sql = re.findall(r"^-- \$.*$", statement_that_ships(model), re.MULTILINE), statement_that_ships(model)
    keys = ", ".join(f"examples.{key}" for key in shipped["entity"]["keys"])
    if fault == "twice":
        sql = (
            f"SELECT {keys}, examples.event_timestamp, CAST(orders.order_id IS NULL AS TINYINT) AS label, "
            f"{OVER} AS known_at FROM examples LEFT JOIN orders ON {JOINS[model]} AND {WITHIN}"
        )
        return "\n".join([*declared, sql])
    early = "examples.event_timestamp" if fault == "at_once" else f"{OVER} - INTERVAL 1 DAY"
    assert sql.count(f", {OVER}) AS known_at") == 1
    return sql.replace(f", {OVER}) AS known_at", f", {early}) AS known_at")


def statement_that_ships(model: str) -> str:
    return (LABELS_ROOT / f"{read(model)['label']['kind']}.sql").read_text()


def read(model: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONFIG_ROOT / "models" / f"{model}.yaml").read_text())
    return values


def write(folder: Path, name: str, like: str, changes: dict[str, Any]) -> None:
    """Write a model that is another one but for some values."""
    values = {**read(like), "model_id": name, "registered_name": name.replace("_", "-"), **changes}
    sql = statement_of(name) if name in TRIED else None
    if sql is not None:
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{name}.sql").write_text(sql)
        values["label"] = {**values["label"], "kind": name}
    given = {key: value for key, value in values.items() if value is not None}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(given))


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a home that is not there yet; it is not there afterwards."""
    home = folder / "home"
    process = commands.start(commands.environment(home, MLOPS_SPECS=str(folder / "specs")), *arguments)
    told = process.communicate(timeout=180)
    assert not home.exists()
    return subprocess.CompletedProcess(arguments, process.returncode, *told)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("wrong")
    (made / "specs").mkdir()
    for name, (like, changes, _) in (AT_LOAD | TRIED).items():
        write(made / "specs", name, like, changes)
    return made


@pytest.fixture(scope="module")
def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, "models", "check")


def test_a_check_of_all_tells_of_these_and_of_no_other(checked):
    assert (checked.returncode, checked.stdout) == (2, "")
    assert {line.partition(".yaml")[0] for line in checked.stderr.splitlines()} == AT_LOAD.keys()


@pytest.mark.parametrize("name", AT_LOAD)
def test_what_does_not_fit_is_told_with_its_file_its_key_and_the_nearest_name(checked, name):
    lines = [line for line in checked.stderr.splitlines() if line.startswith(f"{name}.yaml: ")]
    assert re.fullmatch(rf"{name}\.yaml: {AT_LOAD[name][2]}.*", "\n".join(lines)), lines


@pytest.mark.parametrize("name", members(TRIED, daily=EVERY_DAY))
def test_what_only_a_try_can_find_is_told_with_its_file_and_its_key(folder, name):
    done = run(folder, "models", "check", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"{name}\.yaml: {TRIED[name][2].format(kind=name)}.*\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    "command",
    members(
        [("train", "--as-of", "2026-03-01"), ("score", "--date", "2026-03-01"), ("models", "show")],
        daily=[("train", "--as-of", "2026-03-01"), ("models", "show")],
    ),
)
def test_no_command_takes_a_model_that_does_not_fit(folder, command):
    named = ("--model", "binary_of_lists") if command[0] != "models" else ("binary_of_lists",)
    done = run(folder, *command, *named)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mlops: binary_of_lists.yaml: gates.ndcg_min is a key of task: ranking")
