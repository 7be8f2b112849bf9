"""A feature group's spec: what one row is about may take several columns to say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.errors import SpecError
from include.specs.groups import EntitySpec, FeatureGroupSpec, load_feature_group
from include.specs.yaml_files import CONFIG_ROOT, validated

CUSTOMER_DAILY = CONFIG_ROOT / "features" / "customer_daily.yaml"


def with_entity(**entity: Any) -> dict[str, Any]:
    return {**yaml.safe_load(CUSTOMER_DAILY.read_text()), "entity": {"name": "customer", **entity}}


def test_keys_keep_their_order() -> None:
    spec = validated(FeatureGroupSpec, with_entity(keys=["customer_id", "category"]), CUSTOMER_DAILY)

    assert spec.entity == EntitySpec(name="customer", keys=("customer_id", "category"))


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        ({"keys": []}, "customer_daily.yaml: entity.keys=[]: Tuple should have at least 1 item"),
        ({"keys": ["a", "b", "a"]}, "customer_daily.yaml: entity.keys=['a', 'b', 'a']: a, b, a: a column"),
        ({"keys": "customer_id"}, "customer_daily.yaml: entity.keys='customer_id': it takes a list, as [a, b]"),
        ({"keys": ["Customer"]}, "customer_daily.yaml: entity.keys.0='Customer': String should match pattern"),
        ({"key": "customer_id"}, "unknown key 'entity.key'; allowed: name, keys; did you mean 'keys'?"),
    ],
    ids=["none", "twice", "no list", "no identifier", "one key under its old name"],
)
def test_keys_that_are_none_are_named_with_what_is_allowed(entity: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        validated(FeatureGroupSpec, with_entity(**entity), CUSTOMER_DAILY)


def test_an_unknown_group_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match="there is no feature group 'customer_dayly'; known: churn_scores, customer_ca"):
        load_feature_group("customer_dayly")


@pytest.mark.parametrize("name", ["customer_id", "category", "event_timestamp", "created_timestamp", "dt"])
def test_a_key_a_time_or_the_day_is_no_feature(name: str) -> None:
    values = with_entity(keys=["customer_id", "category"])
    added = {**values["columns"][0], "name": name}

    with pytest.raises(SpecError, match=f"columns names {name!r}, which the group's table has anyway: keys as text"):
        validated(FeatureGroupSpec, {**values, "columns": [*values["columns"], added]}, CUSTOMER_DAILY)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("entity", "entity='text': it takes keys of its own: name, keys"),
        ("volume", "volume='text': it takes keys of its own: rows_min, ratio_min, ratio_max"),
        ("columns", "columns='text': it takes a list, as [a, b]"),
        ("sources", "sources='text': it takes a list, as [a, b]"),
    ],
)
def test_a_value_of_another_shape_is_told_in_the_words_of_yaml(key: str, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(f"customer_daily.yaml: {said}")):
        validated(FeatureGroupSpec, {**with_entity(keys=["customer_id"]), key: "text"}, CUSTOMER_DAILY)


def test_a_feature_that_is_named_twice_is_refused() -> None:
    values = with_entity(keys=["customer_id"])

    with pytest.raises(SpecError, match="columns names 'total_orders_30d' twice"):
        validated(FeatureGroupSpec, {**values, "columns": [*values["columns"], values["columns"][0]]}, CUSTOMER_DAILY)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "SELECT 1",
            r"product_daily\.sql: the statement names no \$start_day and no \$end_day; it is to give the days",
        ),
        ("SELECT $end_day", r"product_daily\.sql: the statement names no \$start_day; it is"),
        ("SELECT '\xe9', $start_day, $end_day", r"product_daily\.sql: can't be read: .*; write it in UTF-8"),
        ("SELECT $start_day", r"product_daily\.sql: the statement names no \$end_day; it is"),
    ],
)
def test_a_statement_that_does_not_say_of_which_days_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str, said: str
) -> None:
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "product_daily.sql").write_bytes(statement.encode("latin-1"))
    with pytest.raises(SpecError, match=said):
        load_feature_group("product_daily")


CHURN_SCORES = CONFIG_ROOT / "features" / "churn_scores.yaml"


def with_columns(*of: str | None, **changes: Any) -> dict[str, Any]:
    """Return the group of scores with columns that say these things of predictions; None says nothing."""
    values = yaml.safe_load(CHURN_SCORES.read_text())
    plain = {name: value for name, value in values["columns"][0].items() if name != "of"}
    columns = [{**plain, "name": f"c{n}", **({"of": said} if said else {})} for n, said in enumerate(of)]
    return {**values, "columns": columns, **changes}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (with_columns("score", None), "columns.c1 says not what of a prediction it is (of: score, rank or decision)"),
        (with_columns("score", scored_by=None, sources=["orders"]), "columns.c0.of is of a prediction: name the model"),
        (with_columns("scores"), "churn_scores.yaml: columns.0.of='scores': Input should be 'score', 'rank' or 'dec"),
    ],
    ids=["one of two", "of a source", "misspelt"],
)
def test_what_is_written_back_is_said_of_each_column(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        validated(FeatureGroupSpec, values, CHURN_SCORES)


def overlay_with(folder: Path, values: dict[str, Any]) -> Path:
    (folder / "features").mkdir()
    (folder / "features" / "own_scores.yaml").write_text(yaml.safe_dump({**values, "group": "own_scores"}))
    return folder / "features"


@pytest.mark.parametrize("has_statement", [False, True])
def test_scores_are_written_back_without_a_statement_and_not_with_one_beside(
    tmp_path, monkeypatch, has_statement
) -> None:
    folder = overlay_with(tmp_path, with_columns("score", "decision"))
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    if not has_statement:
        assert load_feature_group("own_scores").is_written_back
        return
    (folder / "own_scores.sql").write_text("SELECT $start_day, $end_day")
    with pytest.raises(SpecError, match=r"own_scores.yaml: columns say .* and own_scores.sql says it too; keep one"):
        load_feature_group("own_scores")


def test_a_group_of_scores_that_says_nothing_needs_a_statement(tmp_path, monkeypatch) -> None:
    overlay_with(tmp_path, with_columns(None))
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    with pytest.raises(
        SpecError, match=r"has no statement; write .*own_scores.sql; or say of each column .* of: score"
    ):
        load_feature_group("own_scores")


@pytest.mark.parametrize("key", ["min", "max", "nulls_max"])
@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_bounds_nothing_is_no_bound(key: str, number: float) -> None:
    values = yaml.safe_load(CUSTOMER_DAILY.read_text())
    values["columns"][0][key] = number

    with pytest.raises(SpecError, match=rf"customer_daily.yaml: columns.0.{key}="):
        validated(FeatureGroupSpec, values, CUSTOMER_DAILY)


def test_bounds_between_which_there_is_no_value_are_none() -> None:
    values = yaml.safe_load(CUSTOMER_DAILY.read_text())
    values["columns"][0] |= {"min": 3, "max": 2}

    with pytest.raises(
        SpecError, match=r"customer_daily.yaml: columns.0=.*: min=3 is above max=2: no value of total_ord"
    ):
        validated(FeatureGroupSpec, values, CUSTOMER_DAILY)

    values["columns"][0] |= {"min": 3, "max": 3}
    assert validated(FeatureGroupSpec, values, CUSTOMER_DAILY).columns[0].max == 3


@pytest.mark.parametrize(("owner", "said"), [("", "at least 1 character"), ("x" * 101, "at most 100 characters")])
def test_an_owner_is_somebody_whom_airflow_can_name(owner: str, said: str) -> None:
    values = {**yaml.safe_load(CUSTOMER_DAILY.read_text()), "owner": owner}

    with pytest.raises(SpecError, match=f"customer_daily.yaml: owner='{owner}': String should have {said}"):
        validated(FeatureGroupSpec, values, CUSTOMER_DAILY)
