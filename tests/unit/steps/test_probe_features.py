"""Bounds of groups, tried on rows at the edges of what the rules of their sources take."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.cli.main import cli
from include.errors import MlopsError
from include.specs.groups import load_feature_group
from include.steps.probe_features import BrokenBound, probe_features
from tests.everyday import members

AS_OF = datetime(2026, 1, 1, 12, tzinfo=UTC)
ELEC2 = Path(__file__).resolve().parents[2] / "overlays" / "elec2"

SOURCE: dict[str, Any] = {
    "source": "visits",
    "description": "Visits.",
    "owner": "web",
    "key": ["visitor", "seen_at"],
    "event_time": "seen_at",
    "people": {"person": "visitor"},
    "columns": [
        {"name": "visitor", "type": "id", "meaning": "who"},
        {"name": "seen_at", "type": "timestamp", "meaning": "when"},
        {"name": "pages", "type": "int64", "required": False, "meaning": "how many"},
        {"name": "seconds", "type": "float64", "required": False, "meaning": "how long"},
        {"name": "browser", "type": "string", "required": False, "meaning": "by what"},
    ],
}
RULES: list[dict[str, Any]] = [
    {"name": "no_visitor", "kind": "not_null", "column": "visitor", "reason": "nobody"},
    {"name": "no_time", "kind": "not_null", "column": "seen_at", "reason": "never"},
    {"name": "too_late", "kind": "not_after_as_of", "column": "seen_at", "reason": "in the future"},
    {"name": "no_seconds", "kind": "finite", "column": "seconds", "reason": "no duration"},
    {"name": "no_pages", "kind": "finite", "column": "pages", "reason": "no pages"},
]
OF_THE_DAY = """
SELECT visitor, CAST(dt + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(event_timestamp, MAX(received_at)) AS created_timestamp, {value} AS value, dt
FROM visits WHERE dt BETWEEN CAST($start_day AS DATE) AND CAST($end_day AS DATE)
GROUP BY visitor, dt
"""
OF_EACH_VISIT = """
SELECT visitor, CAST(dt + 1 AS TIMESTAMPTZ) AS event_timestamp, received_at AS created_timestamp, seconds AS value, dt
FROM visits WHERE dt BETWEEN CAST($start_day AS DATE) AND CAST($end_day AS DATE)
"""


def rule(column: str, kind: str, **values: Any) -> dict[str, Any]:
    return {"name": f"{column}_{kind}", "kind": kind, "column": column, "reason": "beyond any visit", **values}


SECONDS = [rule("seconds", "min", min=0), rule("seconds", "max", max=86_400.0)]
FAITHFUL = [rule("seconds", "min", min=0.001), rule("seconds", "max", max=86_400.0)]
PAGES = [rule("pages", "min", min=0), rule("pages", "max", max=1000)]

# The statement's value, its column, what a row does to it, and the rules that keep such rows out.
MEMBERS: dict[str, tuple[str, dict[str, Any], str, list[dict[str, Any]]]] = {
    "too much": ("MAX(seconds)", {"min": 0, "max": 86_400}, "allowed: [0, 86400]", SECONDS),
    "too little": ("CAST(MIN(pages) AS DOUBLE)", {"min": 0}, "allowed: [0, inf]", PAGES),
    "a small divisor": (
        "MAX(seconds) / NULLIF(MIN(seconds), 0)", {"min": 0, "max": 1e9}, "allowed: [0, 1e+09]", FAITHFUL,
    ),
    "a type that is too small": ("CAST(SUM(CAST(seconds AS DECIMAL(18, 6))) AS DOUBLE)", {}, "DECIMAL(18,6)", SECONDS),
    "an overflow to infinity": ("SUM(seconds) * SUM(seconds)", {}, "value is inf", SECONDS),
    "a logarithm of nothing": ("LN(MIN(pages) + 1)", {"min": 0}, "no value", PAGES),
    "a null": (
        "CAST(COUNT(browser) AS DOUBLE) / NULLIF(COUNT(browser), 0)", {"min": 0, "max": 1}, "null, allowed: no nulls",
        [rule("browser", "not_null")],
    ),
    "an age": (
        "CAST(MAX(date_diff('day', seen_at, TIMESTAMPTZ '2026-01-01 00:00:00+00')) AS DOUBLE) + MAX(pages)",
        {"min": 0, "max": 2000}, "allowed: [0, 2000]", PAGES,
    ),
}  # fmt: skip


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("sources", "features"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    return tmp_path


def probe(specs: Path, sql: str, column: dict[str, Any], rules: list[dict[str, Any]]) -> list[BrokenBound]:
    # What was read is read once.
    source = f"visits_{len(list(specs.glob('sources/*.yaml')))}"
    written = {**SOURCE, "source": source, "rules": [*RULES, *rules]}
    (specs / "sources" / f"{source}.yaml").write_text(yaml.safe_dump(written))
    group = {
        "group": f"of_{source}",
        "description": "A visitor.",
        "owner": "web",
        "entity": {"name": "visitor", "keys": ["visitor"]},
        "sources": [source],
        "ttl_days": 1,
        "freshness_days": 1,
        "volume": {"rows_min": 1, "ratio_min": None, "ratio_max": None},
        "columns": [{"name": "value", "dtype": "float64", "unit": "x", "meaning": "x", **column}],
    }
    (specs / "features" / f"of_{source}.yaml").write_text(yaml.safe_dump(group))
    (specs / "features" / f"of_{source}.sql").write_text(sql.replace("FROM visits", f"FROM {source}"))
    return probe_features(load_feature_group(f"of_{source}"), DuckDbCompute(), as_of=AS_OF)


@pytest.mark.parametrize("member", members(MEMBERS, daily=["too much", "a type that is too small"]))
def test_a_bound_that_allowed_rows_break_is_found_with_them_and_is_gone_with_the_rule(specs: Path, member: str) -> None:
    value, column, said, remedy = MEMBERS[member]
    sql = OF_THE_DAY.format(value=value)

    found = probe(specs, sql, column, [])

    [broken] = [each for each in found if said in each.said]
    assert 1 <= len(broken.rows) <= 2
    assert probe(specs, sql, column, remedy) == []


def test_the_command_exits_with_1_where_it_finds_something_and_names_it(specs: Path) -> None:
    probe(specs, OF_THE_DAY.format(value="MAX(seconds)"), {"max": 1}, [])
    probe(specs, OF_THE_DAY.format(value="MAX(seconds)"), {"max": 1}, [rule("seconds", "max", max=1)])

    bad, good = (mlops("features", "probe", "--group", f"of_visits_{n}", "--json") for n in (0, 1))

    assert (bad.return_value, good.return_value) == (1, 0)
    assert "visits_0.yaml takes" in json.loads(bad.stdout)["of_visits_0"][0]
    assert json.loads(good.stdout) == {"of_visits_1": []}
    unknown = mlops("features", "probe", "--group", "of_visit_1")
    assert isinstance(unknown.exception, MlopsError)
    assert (unknown.exception.exit_code, unknown.stdout) == (2, "")


def mlops(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, standalone_mode=False)


def test_two_rows_of_one_key_are_found_where_the_statement_gives_one_for_each_visit(specs: Path) -> None:
    [found] = probe(specs, OF_EACH_VISIT, {}, [])
    assert "repeated key" in found.said
    (_, first), (_, second) = found.rows
    assert (first["visitor"], first["seen_at"].date()) == (second["visitor"], second["seen_at"].date())


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (OF_THE_DAY.format(value="MAX(second)"), "second"),
        (OF_THE_DAY.format(value="MAX(pages)"), "value is int64, allowed: double"),
    ],
    ids=["a name that is wrong", "a type that is wrong"],
)
def test_a_statement_that_no_row_can_please_is_told_without_rows(specs: Path, sql: str, said: str) -> None:
    [found] = probe(specs, sql, {}, [])
    assert found.rows == ()
    assert said in str(found)


@pytest.mark.parametrize("seed", members(range(2), daily=[0]))
@pytest.mark.parametrize("group", ["customer_daily", "order_risk", "product_daily"])
def test_no_row_that_was_tried_breaks_a_group_that_ships(group: str, seed: int) -> None:
    assert probe_features(load_feature_group(group), DuckDbCompute(), as_of=AS_OF, seed=seed) == []


def test_a_ratio_of_a_price_of_a_millionth_is_found_where_its_bound_is_narrow() -> None:
    spec = load_feature_group("order_risk")
    columns = (c.model_copy(update={"max": 1e9}) if c.name == "value_to_customer_mean" else c for c in spec.columns)
    narrow = spec.model_copy(update={"columns": tuple(columns)})

    [found] = probe_features(narrow, DuckDbCompute(), as_of=AS_OF)

    assert found.said.startswith("value_to_customer_mean is 1e+")
    assert [source for source, _ in found.rows] == ["orders", "orders"]
    assert len({row["customer_id"] for _, row in found.rows}) == 1


def test_no_row_that_was_tried_breaks_the_group_of_the_second_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SPECS", str(ELEC2))
    for seed in range(2):
        assert probe_features(load_feature_group("half_hour_daily"), DuckDbCompute(), as_of=AS_OF, seed=seed) == []
