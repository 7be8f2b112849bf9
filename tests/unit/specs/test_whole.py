"""Specs that are right one by one are held against one another, and the fault is somebody's."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from include.errors import RefusedError
from include.question.labels import snapshot_days
from include.specs.groups import EntitySpec, load_feature_groups
from include.specs.model_sections import SliceSpec
from include.specs.models import load_model
from include.specs.services import FeatureServiceSpec, load_feature_services
from include.specs.sources import load_sources
from include.specs.standing import Specs, Violation
from include.specs.whole import hold_together
from include.training.split import split_by_time

CHURN = load_model("churn")
SHIPPED = Specs(
    {spec.group: spec for spec in load_feature_groups()},
    {spec.service: spec for spec in load_feature_services()},
    {"churn": CHURN},
    sources={spec.source: spec for spec in load_sources()},
)
ORDER = EntitySpec(name="order", keys=("order_id",))


def changed(spec, **values):
    """Return a spec with other values; ``part__key`` reaches into a part."""
    for name, value in values.items():
        part, _, key = name.partition("__")
        update = {part: changed(getattr(spec, part), **{key: value})} if key else {part: value}
        spec = spec.model_copy(update=update)
    return spec


def model(name="other", **values):
    return changed(CHURN, **{"model_id": name, "registered_name": f"{name}-model", **values})


def group(name="other", **values):
    return changed(SHIPPED.groups["customer_daily"], **{"group": name, **values})


def service(name="other_v1", **features):
    return FeatureServiceSpec(service=name, description="d", owner="o", features=features)


def beside(found=SHIPPED, *, groups=(), services=(), models=(), added=()):
    return replace(
        found,
        groups={**found.groups, **{spec.group: spec for spec in groups}},
        services={**found.services, **{spec.service: spec for spec in services}},
        models={**found.models, **{spec.model_id: spec for spec in models}},
        added=frozenset(added),
    )


def broken(kind, name, found=SHIPPED):
    without = found.without((Violation(kind, name, f"{name}.yaml: unknown key 'x'"),))
    return replace(without, violations=without.violations[-1:])


def fallen(held):
    return {(found.kind, found.name) for found in held.violations}


def test_the_shipped_specs_stand_whole():
    assert hold_together(SHIPPED) == SHIPPED


@pytest.mark.parametrize(
    "keys", [("customer_id", "category"), ("category", "product_id")], ids=["one known alone", "in any order"]
)
def test_an_entity_of_several_keys_stands_beside_those_that_have_one_of_them(keys):
    category = group("category_daily", entity=EntitySpec(name="category", keys=("category",)))
    found = beside(groups=[group(entity=EntitySpec(name="pair", keys=keys)), category])

    assert hold_together(found) == found


def test_a_second_model_of_its_own_name_stands_beside_the_first():
    assert list(hold_together(beside(models=[model()])).models) == ["churn", "other"]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        pytest.param(
            replace(SHIPPED, models={**SHIPPED.models, "fraud": model("fruad")}),
            r"fraud.yaml: model_id='fruad' is not the file's name; write 'fraud'",
            id="its id is another's",
        ),
        pytest.param(
            beside(models=[model(features__service="churn_v2")]),
            r"other.yaml: features.service='churn_v2' is no feature service; known: churn_v1, .*mean 'churn_v1'",
            id="no such service",
        ),
        pytest.param(
            beside(models=[model(features__group="customer_dayly")]),
            r"other.yaml: features.group='customer_dayly' is no feature group; .*did you mean 'customer_daily'",
            id="no such group",
        ),
        pytest.param(
            beside(models=[model(features__group="product_daily")]),
            r"features.group='product_daily' is about product \[product_id\], the model about customer \[customer_id\]",
            id="a group of another entity",
        ),
        pytest.param(
            beside(models=[model(features__service="fraud_v1")]),
            r"features.service='fraud_v1' reads order_risk, which is about order \[order_id\]; every key must be",
            id="a service of another entity",
        ),
        pytest.param(
            beside(models=[model(entity=EntitySpec(name="customer", keys=("order_id",)))]),
            r"entity=customer \[order_id\] has other keys than in churn_scores, customer_daily, churn, ",
            id="other keys",
        ),
        pytest.param(
            beside(groups=[group(columns=(changed(SHIPPED.groups["customer_daily"].columns[0], dtype="string"),))],
                   services=[service(other=("total_orders_30d",))],
                   models=[model(features__service="other_v1", decision__features_min=1)]),
            r"features.service='other_v1' reads other.total_orders_30d, which is a string; a model reads numbers",
            id="text",
        ),
        pytest.param(
            beside(groups=[group("other_scores", sources=(), scored_by="other")],
                   services=[service(other_scores=("total_orders_30d",))],
                   models=[model(features__service="other_v1", decision__features_min=1)]),
            r"features.service='other_v1' reads scores that are made of this model's own \(other reads other\)",
            id="its own scores",
        ),
        pytest.param(
            beside(models=[model(population="days_since_last_oder <= 30")]),
            r"population='days_since_last_oder <= 30' names days_since_last_oder, which is no column of "
            r"customer_daily; .*did you mean 'days_since_last_order'",
            id="a population by no column",
        ),
        pytest.param(
            beside(models=[model(monitoring__slices=(SliceSpec(column="tenure", ends=(90.0,)),))]),
            r"monitoring.slices names tenure, which is no column of customer_daily; .*did you mean 'tenure_days'",
            id="slices by no column",
        ),
        pytest.param(
            beside(models=[model(monitoring__slices=(SliceSpec(column="tenure_days"),))]),
            r"monitoring.slices names tenure_days, which is a int64, without ends; say where it is cut",
            id="a number that is not cut",
        ),
        pytest.param(
            beside(models=[changed(load_model("fraud"), model_id="other", registered_name="other",
                                   monitoring__slices=(SliceSpec(column="country", ends=(1.0,)),))]),
            r"monitoring.slices names country, which is a text, with ends=\[1.0\]; leave them out",
            id="a text that is cut",
        ),
        pytest.param(
            beside(models=[model(decision__features_min=13)]),
            r"decision.features_min=13 is above the 12 features of churn_v1",
            id="more drift than features",
        ),
        pytest.param(
            beside(models=[model(label__horizon_days=200)]),
            r"training.window_days=56 leaves no snapshot to fit on: .*last 14 days .*label.horizon_days=200; .*every 7 "
            r"days write more than 210, or lower training.test_days",
            id="no room for a split",
        ),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_falls_alone(found, message):
    held = hold_together(found)
    (violation,) = held.violations
    assert re.search(message, violation.message), violation.message
    assert violation.kind == "model"
    assert held == replace(found, models=SHIPPED.models, violations=held.violations)


@pytest.mark.parametrize("name", ["label", "score", "request_id", "feature_service", "category"])
def test_a_feature_by_the_name_of_a_column_that_is_kept_of_every_model_anyway_is_refused(name):
    pair = EntitySpec(name="pair", keys=("customer_id", "category"))
    column = SHIPPED.groups["customer_daily"].columns[0]
    found = beside(
        groups=[group("pairs", entity=pair), group("named", columns=(changed(column, name=name),))],
        services=[service(pairs=("total_orders_30d",), named=(name,))],
        models=[model(entity=pair, features__service="other_v1", features__group="pairs", decision__features_min=1)],
    )
    (violation,) = hold_together(found).violations
    said = f"features.service='other_v1' reads named.{name}, and {name} is a column that what is kept of a model has"
    assert violation.message.startswith(f"other.yaml: {said}")


@pytest.mark.parametrize("key", ["label", "known_at", "role", "score", "decision", "model_version", "request_id", "dt"])
def test_a_key_by_the_name_of_a_column_that_is_kept_of_every_model_anyway_is_refused(key):
    # Which columns may be keys a source says, by what it is about.
    entity = EntitySpec.model_construct(name="thing", keys=("customer_id", key))
    found = beside(groups=[group("things", entity=entity)], models=[model(entity=entity, features__group="things")])
    told = [violation.message for violation in hold_together(found).violations if violation.name == "other"]
    said = (
        f"entity=thing [customer_id, {key}] has the key {key}, and {key} is a column that what is kept of a model has"
    )
    assert told == [f"other.yaml: {said} anyway; give it another name"]


def test_of_models_that_wait_for_one_anothers_scores_the_first_stands():
    circle = {"a": "b", "b": "c", "c": "a"}
    held = hold_together(
        beside(
            groups=[group(f"{name}_scores", sources=(), scored_by=name) for name in circle],
            services=[service(f"{name}_v1", **{f"{of}_scores": ("total_orders_30d",)}) for name, of in circle.items()],
            models=[model(name, features__service=f"{name}_v1", decision__features_min=1) for name in circle],
        )
    )
    assert fallen(held) == {("model", "b"), ("model", "c")}
    assert "scores that are made of this model's own (b reads c reads a reads b)" in held.violations[0].message


def test_a_model_may_read_anothers_scores():
    reader = model(features__service="customer_features")
    assert hold_together(beside(models=[reader])).violations == ()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            group(entity=EntitySpec(name="customer", keys=("order_id",))),
            r"other.yaml: entity=customer \[order_id\] has other keys than in churn_scores, customer_daily, churn",
            id="other keys",
        ),
        pytest.param(
            group(entity=EntitySpec(name="pair", keys=("customer_id", "order"))),
            r"entity=pair \[customer_id, order\] has the key order, which no entity has alone .* order \[order_id\]",
            id="a key that is named as an entity of another key",
        ),
        pytest.param(
            group(sources=(), scored_by="churm"),
            r"other.yaml: scored_by='churm' is no model; known: churn; did you mean 'churn'",
            id="scores of nobody",
        ),
        pytest.param(
            group(sources=(), scored_by="churn", entity=ORDER),
            r"other.yaml: entity=order \[order_id\] is not whom churn scores, customer \[customer_id\]",
            id="scores of others",
        ),
    ],
)
def test_a_group_that_does_not_fit_falls_alone(spec, message):
    held = hold_together(beside(groups=[spec]))
    (violation,) = held.violations
    assert re.search(message, violation.message), violation.message
    assert held == replace(SHIPPED, violations=held.violations)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            service(customer_dialy=("total_orders_30d",)),
            r"other_v1.yaml: features.customer_dialy is no feature group; known: .*did you mean 'customer_daily'",
            id="no such group",
        ),
        pytest.param(
            service(customer_daily=("total_order_30d",)),
            r"features.customer_daily='total_order_30d' is no column of customer_daily; .*mean 'total_orders_30d'",
            id="no such column",
        ),
    ],
)
def test_a_service_that_does_not_fit_falls_alone(spec, message):
    held = hold_together(beside(services=[spec]))
    (violation,) = held.violations
    assert re.search(message, violation.message), violation.message
    assert held == replace(SHIPPED, violations=held.violations)


def test_files_that_are_named_other_than_what_they_hold_fall():
    held = hold_together(
        replace(
            SHIPPED,
            groups={**SHIPPED.groups, "a": group("b")},
            services={**SHIPPED.services, "a": service("b", customer_daily=("total_orders_30d",))},
        )
    )
    assert fallen(held) == {("feature group", "a"), ("feature service", "a")}


@pytest.mark.parametrize(
    ("name", "added", "falls", "why"),
    [
        pytest.param("fraud", [], "fraud", "comes first by its file's name", id="the later name"),
        pytest.param("abuse", [], "churn", "comes first by its file's name", id="the earlier name stands"),
        pytest.param("abuse", ["abuse"], "abuse", "ships with the project", id="the overlay's, whatever its name"),
        pytest.param("fraud", ["churn", "fraud"], "fraud", "comes first by its file's name", id="both the overlay's"),
    ],
)
def test_of_two_models_of_one_registered_name_the_newcomer_falls(name, added, falls, why):
    held = hold_together(beside(models=[model(name, registered_name="churn-predictor")], added=added))
    (violation,) = held.violations
    stands = ({"churn", name} - {falls}).pop()
    assert (violation.name, list(held.models)) == (falls, [stands])
    assert f"registered_name='churn-predictor' is that of {stands}, which {why}" in violation.message


def test_a_model_falls_with_a_group_that_it_reads_and_names_it():
    held = hold_together(broken("feature group", "customer_daily"))
    assert fallen(held) == {
        ("feature group", "customer_daily"),
        ("feature service", "churn_v1"),
        ("feature service", "customer_features"),
        ("model", "churn"),
    }
    told = held.violations_of("model", "churn")[0].message
    assert told == ("churn.yaml: features.group='customer_daily' can't be used: customer_daily.yaml: unknown key 'x'")


@pytest.mark.parametrize(
    ("kind", "name", "others"),
    [
        pytest.param("feature group", "order_risk", {("feature service", "fraud_v1")}, id="a group of another service"),
        pytest.param("feature group", "product_daily", set(), id="a group that nothing reads"),
        pytest.param("feature group", "churn_scores", {("feature service", "customer_features")}, id="its scores"),
        pytest.param("feature service", "fraud_v1", set(), id="another service"),
        pytest.param("model", "fraud", set(), id="another model"),
    ],
)
def test_what_a_model_does_not_read_falls_without_it(kind, name, others):
    held = hold_together(broken(kind, name))
    assert fallen(held) == {(kind, name), *others}
    assert list(held.models) == ["churn"]


def test_a_group_of_scores_stands_while_its_model_is_being_put_right():
    assert fallen(hold_together(broken("model", "churn"))) == {("model", "churn")}


def can_be_split(days, test_days, horizon):
    try:
        return split_by_time(days, test_days=test_days, horizon_days=horizon) is not None
    except RefusedError:
        return False


@pytest.mark.parametrize(("window", "step"), product([1, 8, 30, 57, 90], [1, 7, 20, 60]))
def test_a_window_is_refused_where_a_split_of_its_snapshots_is(window, step):
    for test_days, horizon in product([1, 7, 14, 28], [1, 7, 30, 60]):
        spec = model(
            training__window_days=window,
            training__snapshot_every_days=step,
            training__test_days=test_days,
            label__horizon_days=horizon,
        )
        days = np.array(snapshot_days("2011-11-25", spec.label, spec.training), dtype="datetime64[D]")
        assert ("other" in hold_together(beside(models=[spec])).models) == can_be_split(days, test_days, horizon)


def test_the_window_that_a_refusal_asks_for_is_the_smallest_that_does():
    spec = model(training__window_days=30, training__snapshot_every_days=7, label__horizon_days=60)
    (violation,) = hold_together(beside(models=[spec])).violations
    asked = int(re.search(r"write more than (\d+)", violation.message)[1])
    stands = [
        "other" in hold_together(beside(models=[changed(spec, training__window_days=days)])).models
        for days in (asked, asked + 1)
    ]
    assert stands == [False, True]


def test_a_column_of_a_prediction_is_one_that_the_model_gives():
    (column,) = SHIPPED.groups["churn_scores"].columns
    placed = group("other_scores", sources=(), scored_by="churn", columns=(changed(column, of="rank"),))
    (violation,) = hold_together(beside(groups=[placed])).violations
    assert violation.kind == "feature group"
    assert violation.message.endswith(
        "columns.churn_risk_score.of='rank' is nothing that churn predicts; known: score, decision"
    )
