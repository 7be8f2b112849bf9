"""What is of one domain is in its YAML and SQL: no module names a model, a group, a source, or a column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docs.rooms import FOLDERS
from include.settings import PROJECT_ROOT
from include.specs.source_rules import RECEIVED_AT
from include.specs.yaml_files import CONFIG_ROOT
from tests.architecture.strings import literals

# The shop that is made up, the demo that plays it, the short form for its orders, which the list of commands names, and
# what databases held when there was one source.
OF_THE_SHOP = (
    "include/simulation/",
    "include/steps/generate_orders.py",
    "include/demo/",
    "include/cli/demo.py",
    "include/cli/orders.py",
    "include/cli/main.py",
    "include/adapters/state/migrations/",
)


def read(folder: str) -> list[dict]:
    """Return what ships under a kind, in every overlay too."""
    return [yaml.safe_load(path.read_text()) for path in sorted(CONFIG_ROOT.rglob(f"{folder}/*.yaml"))]


SOURCES, GROUPS, SERVICES = read("sources"), read("features"), read("services")
MODELS = [yaml.safe_load(path.read_text()) for path in sorted((CONFIG_ROOT / "models").glob("*.yaml"))]
MODELS += [
    values
    for path in sorted((CONFIG_ROOT / "overlays").glob("*/*.yaml"))
    if "model_id" in (values := yaml.safe_load(path.read_text()))
]
LABELS = {path.stem for path in PROJECT_ROOT.glob("include/question/labels/*.sql")}
NAMES = {spec[key] for specs, key in ((SOURCES, "source"), (GROUPS, "group"), (SERVICES, "service")) for spec in specs}
NAMES |= {spec[key] for spec in MODELS for key in ("model_id", "registered_name")} | LABELS
# Words of everyday language: they name something only where they stand alone.
ALONE = NAMES | {spec["entity"]["name"] for spec in GROUPS}
COLUMNS = {column["name"] for spec in [*SOURCES, *GROUPS] for column in spec["columns"]}
COLUMNS |= {key for spec in GROUPS for key in spec["entity"]["keys"]}
WORDS = {name for name in COLUMNS | NAMES if "_" in name or "-" in name} - {RECEIVED_AT}
TABLES = {f"{kind}/{spec['source']}" for spec in SOURCES for kind in ("raw", "quarantine", "deliveries")}
NAMED = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(WORDS | TABLES, key=len, reverse=True))})(?![\w-])")


def named(source: str) -> list[tuple[int, str]]:
    return [(line, text) for line, text in literals(source) if text in ALONE or NAMED.search(text)]


def modules() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((PROJECT_ROOT / folder).rglob("*.py"))]
    assert len(found) > 200
    return [path for path in found if not str(path.relative_to(PROJECT_ROOT)).startswith(OF_THE_SHOP)]


def test_all_that_ships_is_looked_for():
    assert {"churn", "fraud-detector", "coupon", "order_risk", "redemptions", "fraud_v1", "disputed"} <= ALONE
    assert {"customer_category_daily", "days_since_bought", "ref_order_id"} <= WORDS


def test_no_module_names_what_is_of_one_domain():
    found = [(str(path.relative_to(PROJECT_ROOT)), *at) for path in modules() for at in named(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        'x = "orders"',
        'f"select customer_id from {x}"',
        'x = ["product"]',
        'x = "raw/orders"',
        'x = "unit_price > 1"',
        'x = "churn"',
        'f"train {x} of churn-predictor"',
        'x = "order_risk.sql"',
        'x = ["disputed"]',
    ],
)
def test_a_name_is_found_however_it_is_written(source):
    assert named(source)


@pytest.mark.parametrize(
    "source", ['"""Of customer_id."""', 'x = "in orders of size"', 'x = "received_at"', 'x = "my_order_id"']
)
def test_other_words_are_no_names(source):
    assert named(source) == []
