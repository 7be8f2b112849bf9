"""A model's label, tried before there are data: what its statement may not do is found on made-up rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.settings import PROJECT_ROOT
from include.specs.models import ModelSpec, load_model
from include.steps.check_model import ModelCheck, check_model
from include.steps.propose_model import propose_model, write_model

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
NOW = "examples.event_timestamp"
OVER = "examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))"


@pytest.fixture
def overlay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the deployment's folder of overlays."""
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path))
    return tmp_path


def label_of(overlay: Path, statement: str) -> ModelSpec:
    """Return a model as churn is, with a label of this statement."""
    (overlay / "labels").mkdir()
    known = "FROM (SELECT * FROM examples WHERE $known_until IS NOT NULL) AS examples"
    sql = statement.replace("FROM examples", known)
    (overlay / "labels" / "mine.sql").write_text(f"-- $horizon_days int 1..90: days\n{sql}\n")
    write_model(propose_model("mine", like="churn", label="mine"))
    return load_model("mine")


def check(spec: ModelSpec, overlay: Path | None) -> ModelCheck:
    nothing_published = SimpleNamespace(publications=lambda _table: {})
    settings = SimpleNamespace(specs_overlay=overlay, feast_online_url="redis://online", serving_cache_url=None)
    deployment = SimpleNamespace(duckdb=DuckDbCompute(), settings=settings, state=nothing_published)
    return check_model(deployment, spec, as_of=AS_OF)  # type: ignore[arg-type]


def test_what_ships_can_be_used_and_says_what_is_to_be_built():
    found = check(load_model("churn"), None)
    assert found.wrong == ()
    assert found.told[-1].endswith("mlops features build --group customer_daily --date FIRST --end LAST")


def test_a_statement_that_was_begun_can_be_used(overlay):
    for name, group in (("again", "customer_daily"), ("risk", "order_risk"), ("sold", "product_daily")):
        write_model(propose_model(name, like="churn", group=group, label=f"{name}_label"))
        assert check(load_model(name), overlay).wrong == ()


@pytest.mark.parametrize(
    ("statement", "match"),
    [
        (
            f"SELECT examples.customer_id, {NOW}, 1 AS label, {OVER} AS known_at FROM examples, orders "
            "WHERE orders.customer_id = examples.customer_id",
            "gives an example more than one label",
        ),
        (
            f"SELECT customer_id, {NOW}, 0 AS label, {NOW} + to_days(CAST($horizon_days AS INTEGER) * 0) AS known_at "
            "FROM examples",
            "knows the label 0 of .* examples 0:00:00 after their time, where the sources have no row at all",
        ),
        (
            f"SELECT customer_id, {NOW}, 1 AS label, {OVER} - INTERVAL 1 SECOND AS known_at FROM examples",
            "knows the label 1 of .* examples 59 days, 23:59:59 after their time",
        ),
        (f"SELECT customer_id, {NOW}, 2 AS label, {OVER} AS known_at FROM examples", "gives the label 2"),
        (f"SELECT customer_id, {NOW}, NULL AS label, {OVER} AS known_at FROM examples", "gives the label None"),
        (f"SELECT customer_id, {NOW}, 1 AS label, $horizon_days AS days FROM examples", "gives no known_at"),
        (
            f"SELECT customer_id, {NOW}, 0.5 AS label, {OVER} AS known_at FROM examples",
            r"gives label as decimal128\(2, 1\), which should be 0 or 1",
        ),
        (
            f"SELECT customer_id, {NOW}, 'UP' AS label, {OVER} AS known_at FROM examples",
            "gives label as string, which should be 0 or 1",
        ),
        (
            f"SELECT customer_id, {NOW}, 1 AS label, $horizon_days AS known_at FROM examples",
            "gives known_at as int.*, which should be an instant",
        ),
        (
            f"SELECT customer_id, {NOW}, 1 AS label, IF($horizon_days > 0, NULL, {OVER}) AS known_at FROM examples",
            "gives no known_at for .* of .* examples, which are never known so",
        ),
        *(
            (
                f"SELECT customer_id, {NOW}, CAST(COUNT(order_id) > 0 AS TINYINT) AS label, {OVER} AS known_at "
                f"FROM examples LEFT JOIN orders USING (customer_id) WHERE {which} GROUP BY ALL",
                r"labels .* examples otherwise where there are rows that were received after \$known_until",
            )
            for which in (
                f"ordered_at IS NULL OR (ordered_at >= {NOW} AND ordered_at < {OVER})",
                f"ordered_at IS NULL OR (ordered_at >= {NOW} AND dt <= CAST($known_until AS DATE))",
                f"ordered_at IS NULL OR (ordered_at >= {NOW} AND received_at <= $known_until + INTERVAL 1 DAY)",
            )
        ),
        *(
            (
                f"SELECT customer_id, {NOW}, MAX(quantity % 2 = 0) AS label, {known} AS known_at FROM examples JOIN "
                f"orders USING (customer_id) WHERE ordered_at >= {NOW} AND ordered_at < {OVER} AND received_at <= "
                "$known_until GROUP BY ALL",
                f"label of .* examples was known {after} after their time, and doesn't give it when asked then",
            )
            for known, after in ((NOW, "0:00:00"), (f"{NOW} + INTERVAL 1 HOUR", "12:00:00"))
        ),
        (
            f"SELECT customer_id, {NOW}, 1 AS label, {OVER} AS known_at FROM examples JOIN orders USING (custmer_id)",
            "custmer_id",
        ),
        (
            "SELECT customer_id, ordered_at AS event_timestamp, 1 AS label, ordered_at + to_days(CAST($horizon_days "
            "AS INTEGER)) AS known_at FROM (SELECT DISTINCT customer_id, ordered_at FROM orders WHERE received_at <= "
            "$known_until)",
            "labels .* that are none of the .* examples",
        ),
    ],
)
def test_a_statement_that_breaks_its_promise_is_named_with_what_it_did(overlay, statement, match):
    spec = label_of(overlay, statement)
    [said] = check(spec, overlay).wrong
    assert said.startswith("mine.yaml: label.kind='mine': ")
    with pytest.raises(AssertionError, match=match):
        raise AssertionError(said)


def test_a_label_of_another_entity_is_named(overlay):
    write_model(propose_model("mine", like="churn", group="order_risk"))
    [said] = check(load_model("mine"), overlay).wrong
    assert "label.kind='no_order'" in said
    assert "customer_id" in said


def test_gates_that_any_model_passes_snapshots_of_one_weekday_and_a_cache_of_a_cache_are_told(overlay):
    write_model(propose_model("mine", like="churn"))
    text = (overlay / "mine.yaml").read_text()
    for shipped, idle in {"auc_min: 0.85": "auc_min: 0.5", "snapshot_every_days: 4": "snapshot_every_days: 14"}.items():
        text = text.replace(shipped, idle)
    (overlay / "mine.yaml").write_text(text)
    mine = load_model("mine")
    gate, snapshots, *_ = check(mine, overlay).told
    assert "gates.auc_min=0.5 is no threshold" in gate
    assert "training.snapshot_every_days=14 is a multiple of 7" in snapshots
    shared = mine.serving.model_copy(update={"cache_in": "redis", "cache_seconds": 5.0})
    (said,) = check(mine.model_copy(update={"serving": shared}), overlay).wrong
    assert said.startswith("mine.yaml: serving.cache_in: redis keeps what a slower online store answers")


@pytest.mark.parametrize(
    ("stated", "instead", "said"),
    [
        ("AS days_since_last_sale", "AS days_since_last", "days_since_last_sale"),
        ("NULLIF(units_30d, 0) AS FLOAT)", "NULLIF(units_30d, 0) AS VARCHAR)", "avg_unit_price_30d"),
        ("FROM orders", "FROM ordrs", "ordrs"),
    ],
)
def test_what_a_groups_statement_does_not_give_is_named_before_it_is_built(overlay, stated, instead, said):
    shipped = PROJECT_ROOT / "include"
    sql = (shipped / "features" / "product_daily.sql").read_text()
    assert stated in sql
    (overlay / "features").mkdir()
    (overlay / "features" / "sold_daily.sql").write_text(sql.replace(stated, instead))
    spec = (shipped / "config" / "features" / "product_daily.yaml").read_text()
    (overlay / "features" / "sold_daily.yaml").write_text(spec.replace("product_daily", "sold_daily"))
    write_model(propose_model("mine", like="churn", group="sold_daily", label="mine_label"))
    found = check(load_model("mine"), overlay).wrong
    assert all(each.startswith("sold_daily.yaml: ") for each in found)
    assert all(each.endswith("correct the statement or the YAML") for each in found)
    assert any(said in each for each in found)
