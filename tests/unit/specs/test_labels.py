"""A kind of label is one SQL file that says itself what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from include.errors import SpecError
from include.specs.labels import LABELS_ROOT, load_label_kind
from include.specs.models import _load_model

DISPUTED = """-- claimed: 1 when the order is disputed within the horizon.
-- $horizon_days int 1..90: how far the label looks ahead
-- $value_min float 0..1e6: smaller orders count as undisputed
-- $country text: whose orders
SELECT 1 WHERE $horizon_days > 0 AND $value_min > 0 AND $country = '' AND $known_until IS NOT NULL -- $not_used
"""


STATEMENT = "SELECT 1 WHERE $horizon_days > 0 AND $known_until IS NOT NULL"
HORIZONS = [
    ("-- $horizon_days float 0.5..2: x\n", r"claimed.sql: \$horizon_days is of type 'float'; it is a number of days"),
    ("-- $horizon_days text: x\n", r"claimed.sql: \$horizon_days is of type 'text'; it is a number of days"),
    *(
        (f"-- $horizon_days int {low}..{high}: x\n", rf"bounds of \$horizon_days, {low}\.\.{high}, are no bounds")
        for low, high in ((0, 30), (-5, 5), (1, 3661), (1, 10**15), (9, 1))
    ),
    ("-- $a float 2..1: y\n-- $horizon_days int: x\nSELECT $a AS a FROM (", r"bounds of \$a, 2\.\.1, are no bounds"),
]
STATEMENTS = [
    (f"{STATEMENT}; {STATEMENT}", "claimed.sql is not one SELECT"),
    (f"COPY ({STATEMENT}) TO 'out.csv'", "claimed.sql is not one SELECT"),
    (f"{STATEMENT}; ATTACH 'other.db'", "claimed.sql is not one SELECT"),
    (f"DELETE FROM orders WHERE EXISTS ({STATEMENT})", "claimed.sql is not one SELECT"),
    (f"{STATEMENT} AND random() < 0.5", r"claimed.sql says something else each time it is asked \(rand\)"),
    (f"{STATEMENT} AND now() > $known_until", r"claimed.sql says something else each time it is asked \(now\)"),
]


def overlay(folder: Path, label: dict[str, object], sql: str = DISPUTED) -> Path:
    (folder / "labels").mkdir()
    (folder / "labels" / "claimed.sql").write_text(sql)
    (folder / "churn.yaml").write_text(yaml.safe_dump({"label": {"kind": "no_order", **label}}))
    return folder


def load(folder: Path):
    return _load_model.__wrapped__("churn", folder)


def new_model(folder: Path, **label: object) -> Path:
    """Lay a whole new model beside the shipped ones, with a label of the new kind."""
    from include.specs.yaml_files import CONFIG_ROOT

    values = yaml.safe_load((CONFIG_ROOT / "models" / "churn.yaml").read_text())
    values |= {"model_id": "claims", "registered_name": "claims", "label": label}
    (folder / "labels").mkdir()
    (folder / "labels" / "claimed.sql").write_text(DISPUTED)
    (folder / "claims.yaml").write_text(yaml.safe_dump(values))
    return folder


def test_a_new_kind_has_parameters_of_its_own(tmp_path):
    folder = new_model(tmp_path, kind="claimed", horizon_days=30, value_min=5.0, country="GB")
    spec = _load_model.__wrapped__("claims", folder)
    assert spec.label.parameters == {"horizon_days": 30, "value_min": 5.0, "country": "GB"}
    assert spec.model_dump(mode="json")["label"]["value_min"] == 5.0


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"horizon_days": 91}, r"claims.yaml: label.horizon_days=91: .*less than or equal to 90"),
        ({"value_min": -1.0}, r"claims.yaml: label.value_min=-1.0: .*greater than or equal to 0"),
        ({"country": 1}, r"claims.yaml: label.country=1: .*string"),
        ({"contry": "GB"}, r"claims.yaml: unknown key 'label.contry'; allowed: .*did you mean 'country'"),
        ({"active_within_days": 30}, r"claims.yaml: unknown key 'label.active_within_days'"),
        ({"kind": "clamed"}, r"label.kind='clamed': there is no kind .*known: .*claimed; did you mean"),
        ({"kind": 3}, r"claims.yaml: label.kind=3"),
    ],
    ids=["bound", "low bound", "type", "unknown", "of another kind", "unknown kind", "no kind"],
)
def test_a_wrong_parameter_is_named_with_file_key_and_what_is_allowed(tmp_path, label, message):
    right = {"kind": "claimed", "horizon_days": 30, "value_min": 5.0, "country": "GB"}
    with pytest.raises(SpecError, match=message):
        _load_model.__wrapped__("claims", new_model(tmp_path, **{**right, **label}))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        (
            "-- $horizon_days int 1..9: x\nSELECT $horizon_days, $other",
            r"claimed.sql: \$other is only declared or only",
        ),
        (
            "-- $horizon_days int 1..9: x\n-- $a int: y\nSELECT $horizon_days",
            r"claimed.sql: \$a is only declared or",
        ),
        (
            "-- $horizon_days days: x\nSELECT $horizon_days",
            r"claimed.sql: \$horizon_days is of type 'days'; allowed",
        ),
        ("SELECT 1", r"claimed.sql: \$horizon_days is not declared"),
        ("-- $horizon_days int 1..9: x\nSELECT $horizon_days", r"claimed.sql: \$known_until is not looked at"),
        *((declared + STATEMENT, message) for declared, message in HORIZONS),
        *((f"-- $horizon_days int 1..9: x\n{sql}", message) for sql, message in STATEMENTS),
    ],
)
def test_a_statement_that_does_not_say_what_it_takes_is_named(tmp_path, sql, message):
    overlay(tmp_path, {}, sql)
    with pytest.raises(SpecError, match=message):
        load_label_kind("claimed", tmp_path)


def test_a_horizon_without_bounds_has_those_of_any_number_of_days(tmp_path):
    overlay(tmp_path, {}, f"-- $horizon_days int: x\n{STATEMENT}")
    spec = load_label_kind("claimed", tmp_path).spec
    assert spec(kind="claimed", horizon_days=3660).horizon_days == 3660
    for days in (0, -1, 3661):
        with pytest.raises(ValidationError):
            spec(kind="claimed", horizon_days=days)


def test_what_makes_rows_by_itself_is_no_source_and_a_file_is_none_that_is_known(tmp_path):
    rows = "SELECT n FROM generate_series(1, 9) AS t(n), orders, 'f.csv'"
    overlay(tmp_path, {}, f"-- $horizon_days int 1..9: x\n{STATEMENT} AND 1 IN ({rows})")
    assert load_label_kind("claimed", tmp_path).sources == ("f.csv", "orders")


def test_a_population_that_is_no_condition_is_an_error_of_the_file(tmp_path):
    (tmp_path / "churn.yaml").write_text("population: count(*) > 3\n")
    with pytest.raises(SpecError, match=r"churn.yaml: population='count\(\*\) > 3': .*more than one row"):
        load(tmp_path)


@pytest.mark.parametrize("name", [path.stem for path in LABELS_ROOT.glob("*.sql")])
def test_a_kind_that_ships_is_not_replaced_by_the_overlays_of_that_name(tmp_path, name):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / f"{name}.sql").write_text(DISPUTED)
    with pytest.raises(SpecError, match=rf"{name}\.sql ships, and is in {tmp_path}/labels too; .*another name"):
        load_label_kind(name, tmp_path)
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump({"label": {"kind": name}}))
    with pytest.raises(SpecError, match=rf"churn\.yaml: label\.kind='{name}': {name}\.sql ships"):
        load(tmp_path)
