"""Two more models that are YAML and SQL alone: another entity and label, and a service over two views.

Built, trained, promoted, scored and monitored on real PostgreSQL, Feast, MLflow and lake, with a closed day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.errors import NotYetError, UsageError
from include.monitoring.decision_facts import NightMetrics
from include.refs import CandidateRef
from include.scoring.predictions import CHALLENGER, CHAMPION
from include.specs.model_sections import FeaturesSpec
from include.specs.models import load_model, model_ids
from include.steps import read_scores
from include.steps.audit_features import audit_features
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.check_model import check_model
from include.steps.decide_retrain import decide_retrain
from include.steps.heal_features import heal_features
from include.steps.import_source import import_delivery, import_file
from include.steps.materialize_features import materialize_features
from include.steps.monitor_model import load_nights, measure_night
from include.steps.move_model import promote_version, stage_or_refuse
from include.steps.read_inputs import read_snapshots
from include.steps.read_night import read_partition
from include.steps.reproduce_version import reproduce_version
from include.steps.score_batch import score_batch, score_range
from include.steps.train_model import train_model
from include.steps.verify_online import verify_online
from tests.deployments import deployed_beside
from tests.shop import FIRST_DAY, make_orders

pytestmark = pytest.mark.timeout(600)

SPECS = Path(__file__).parents[1] / "overlays" / "more_models"
TRAINED = partitions.shift(FIRST_DAY, 99)
OPEN, CLOSED, NEXT, LAGGING = partitions.span(partitions.shift(TRAINED, 1), partitions.shift(TRAINED, 4))
INSTANT = pa.timestamp("us", tz="UTC")


def with_returns(orders: pa.Table, *, seed: int = 1) -> pa.Table:
    """Return the orders with a return of many of the large ones, some days later, and a cancellation for a few."""
    rng = np.random.default_rng(seed)
    sales, undoing = orders.to_pylist(), []
    for row in sales:
        row |= {"kind": "sale", "ref_order_id": None}
        value = row["quantity"] * row["unit_price"]
        if rng.random() < (0.6 if value > 40 else 0.05):
            at = row["ordered_at"] + timedelta(days=int(rng.integers(1, 10)))
            kind = "return" if rng.random() < 0.8 else "cancellation"
            order_id = f"u{row['order_id']}"
            undoing.append(
                {**row, "order_id": order_id, "ordered_at": at, "kind": kind, "ref_order_id": row["order_id"]}
            )
    schema = orders.schema.append(pa.field("kind", pa.string())).append(pa.field("ref_order_id", pa.string()))
    return pa.Table.from_pylist([*sales, *undoing], schema=schema)


def on_days(rows: pa.Table, start: str, end: str) -> pa.Table:
    days = pc.strftime(rows["ordered_at"], format="%Y-%m-%d")
    return rows.filter(pc.and_(pc.greater_equal(days, start), pc.less_equal(days, end)))


def write_scores_of_churn(
    deployment: Deployment, days: list[str], *, seed: int = 5, known_after: timedelta = timedelta(0)
) -> None:
    """Write what the churn model would have: its own steps are tested elsewhere."""
    rng = np.random.default_rng(seed)
    features = deployment.lake.read("features/customer_daily", keys=days)
    scores = pa.table(
        {
            "customer_id": features["customer_id"],
            "dt": features["dt"],
            "role": ["champion"] * features.num_rows,
            "score": pa.array(rng.random(features.num_rows), pa.float32()),
            "feature_created_timestamp": pc.add(features["created_timestamp"], pa.scalar(known_after)),
        }
    )
    written = deployment.lake.replace("predictions/churn", scores, keys=days)
    counts = [(day, scores.filter(pc.equal(scores["dt"], date.fromisoformat(day))).num_rows) for day in days]
    deployment.state.record_publications("predictions/churn", counts, written.version)


@pytest.fixture(scope="module")
def shop() -> pa.Table:
    return with_returns(make_orders(days=103, customers=300))


@pytest.fixture(scope="module")
def deployment(home: Path, shop: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("more")
    with deployed_beside(home, folder, "more", specs=SPECS) as made:
        pq.write_table(on_days(shop, FIRST_DAY, TRAINED), folder / "history.parquet")
        as_of = datetime.fromisoformat(OPEN).replace(tzinfo=UTC)
        import_file(made, folder / "history.parquet", source="orders", as_of=as_of)
        start = partitions.shift(TRAINED, -75)
        for group in ("order_risk", "customer_daily"):
            build_features(made, group, start=start, end=TRAINED)
        write_scores_of_churn(made, partitions.span(start, TRAINED))
        build_features(made, "churn_scores", start=start, end=TRAINED)
        for night in (OPEN, CLOSED, NEXT):
            arrive(made, shop, night)
        yield made


def arrive(deployment: Deployment, shop: pa.Table, night: str) -> None:
    """Deliver a night; the closed one is an empty delivery."""
    folder = deployment.settings.home / "landing" / "orders" / f"dt={night}"
    folder.mkdir(parents=True)
    if night != CLOSED:
        pq.write_table(on_days(shop, night, night), folder / "orders.parquet")
    (folder / "_SUCCESS").touch()
    import_delivery(deployment, night, source="orders", cross_check=False)
    for group in ("order_risk", "customer_daily"):
        build_features(deployment, group, start=night, end=night)
    write_scores_of_churn(deployment, [night])
    build_features(deployment, "churn_scores", start=night, end=night)
    for group in ("order_risk", "customer_daily", "churn_scores"):
        materialize_features(deployment, group, start=night, end=night)


def put_into_production(deployment: Deployment, model_id: str) -> CandidateRef:
    """Train as of the end of the history, while that was the newest day."""
    candidate = train_model(deployment, build_training_set(deployment, model_id, as_of=TRAINED))
    assert stage_or_refuse(deployment, candidate) is None
    promote_version(deployment, model_id, version=candidate.version, actor="ada", reason="gates passed")
    return candidate


@pytest.fixture(scope="module")
def in_production(deployment: Deployment) -> dict[str, CandidateRef]:
    with pytest.MonkeyPatch.context() as patch:
        # As if the nights had not come yet: a move stands at the newest published day and governs those after it.
        patch.setattr(type(deployment.state), "newest_publication", lambda *_: TRAINED)
        return {model_id: put_into_production(deployment, model_id) for model_id in ("returned", "winback")}


def rows_of(deployment: Deployment, model_id: str, night: str) -> pa.Table:
    return deployment.lake.read(f"predictions/{model_id}", start=night, end=night)


def test_the_overlay_adds_models_to_those_that_ship(deployment):
    assert model_ids() == ("churn", "fraud", "recommendation", "returned", "winback")


def test_a_label_of_an_overlay_is_true_of_the_orders(deployment, in_production, shop):
    (set_id,) = [path.name for path in (deployment.settings.home / "lake/training_sets/returned").iterdir()]
    manifest, examples = read_training_set(deployment.lake, "returned", set_id)
    assert manifest.sources.keys() == {"raw/orders", "features/order_risk"}
    undone: dict[str, datetime] = {}
    for row in shop.to_pylist():
        if row["kind"] in ("return", "cancellation"):
            undone[row["ref_order_id"]] = row["ordered_at"]
    for row in examples.to_pylist():
        since, until = row["event_timestamp"], row["event_timestamp"] + timedelta(days=14)
        assert row["label"] == int(row["order_id"] in undone and since <= undone[row["order_id"]] < until)
    assert 0.1 < manifest.positives / manifest.rows < 0.5


@pytest.mark.parametrize("model_id", ["returned", "winback", "churn"])
def test_a_check_counts_what_a_training_would_read(deployment, model_id):
    spec = load_model(model_id)
    found = check_model(deployment, spec, as_of=datetime.fromisoformat(OPEN).replace(tzinfo=UTC))
    assert found.wrong == ()
    newest = max(deployment.state.publications(f"features/{spec.features.group}"))
    asked = read_partition(deployment, spec, newest, service=spec.features.service).rows.num_rows
    assert any(said.startswith(f"population: {asked:,} of ") for said in found.told)


@pytest.mark.parametrize("model_id", ["returned", "winback"])
def test_a_night_is_scored_measured_and_decided(deployment, in_production, model_id):
    scored = score_batch(deployment, model_id, partition=OPEN)
    spec, rows = load_model(model_id), rows_of(deployment, model_id, OPEN)
    inputs = read_partition(deployment, spec, OPEN, service=spec.features.service)
    assert scored.rows == rows.num_rows == inputs.rows.num_rows > 0
    assert rows[spec.entity.keys[0]].to_pylist() == inputs.rows[spec.entity.keys[0]].to_pylist()
    assert set(measure_night(deployment, model_id, partition=OPEN)) == {"data_quality", *inputs.features, "score"}
    assert decide_retrain(deployment, model_id, partition=OPEN, run_id="open").action in ("hold", "retrain")


def test_a_closed_day_is_scored_to_nothing_and_measured_all_the_same(deployment, in_production):
    score_batch(deployment, "returned", partition=OPEN)
    measure_night(deployment, "returned", partition=OPEN)
    scored = score_batch(deployment, "returned", partition=CLOSED)
    assert (scored.rows, deployment.state.publications("predictions/returned")[CLOSED]) == (0, 0)
    measured = measure_night(deployment, "returned", partition=CLOSED)
    assert measured.pop("data_quality") == "incident"
    assert set(measured.values()) == {"insufficient"}
    decided = decide_retrain(deployment, "returned", partition=CLOSED, run_id="closed")
    assert (decided.action, decided.acted) == ("veto", False)
    (night,) = load_nights(deployment, "returned", since=CLOSED, until=CLOSED)
    assert [reason.partition(":")[0] for reason in night.data_quality.reasons] == [
        "rows scored", "rows of orders delivered"
    ]  # fmt: skip
    score_batch(deployment, "returned", partition=NEXT)
    assert measure_night(deployment, "returned", partition=NEXT)["data_quality"] == "ok"


def test_a_service_over_two_views_trains_and_scores_alike(deployment, in_production):
    spec = load_model("winback")
    (set_id,) = [path.name for path in (deployment.settings.home / "lake/training_sets/winback").iterdir()]
    manifest, examples = read_training_set(deployment.lake, "winback", set_id)
    assert manifest.sources.keys() == {"raw/orders", "features/customer_daily", "features/churn_scores"}
    day = partitions.key_of(pc.max(examples["event_timestamp"]).as_py().date() - timedelta(days=1))
    then = read_snapshots(deployment, spec, [day]).rows
    now = read_partition(deployment, spec, day, service=spec.features.service).rows
    assert then.equals(now)
    # Feast's own join, at the same times, gives the same.
    asked = then.select(["customer_id", "event_timestamp"])
    by_feast = deployment.feature_store.historical(spec.features.service, asked)
    assert by_feast.equals(then.select(by_feast.column_names))
    assert then["churn_risk_score"].null_count == 0
    last = examples.filter(pc.equal(examples["event_timestamp"], then["event_timestamp"][0]))
    assert last.select(then.select(list(manifest.feature_names)).column_names).equals(
        then.select(list(manifest.feature_names))
    )


def test_roles_survive_each_others_writes_and_monitoring_reads_the_champion(deployment, in_production):
    score_batch(deployment, "returned", partition=NEXT)
    alone, measured = rows_of(deployment, "returned", NEXT), measure_night(deployment, "returned", partition=NEXT)
    score_batch(deployment, "returned", partition=NEXT, shadow=in_production["returned"].version)
    both = rows_of(deployment, "returned", NEXT)
    assert set(both["role"].to_pylist()) == {CHAMPION, CHALLENGER}
    assert both.filter(pc.equal(both["role"], CHAMPION)).equals(alone)
    assert measure_night(deployment, "returned", partition=NEXT) == measured
    score_batch(deployment, "returned", partition=NEXT)
    again = rows_of(deployment, "returned", NEXT)
    assert again.sort_by([("role", "ascending"), ("order_id", "ascending")]).equals(
        both.sort_by([("role", "ascending"), ("order_id", "ascending")])
    )
    assert deployment.state.publications("predictions/returned")[NEXT] == alone.num_rows


def test_a_night_in_slices_is_measured_as_the_whole_is(deployment, in_production, monkeypatch):
    score_batch(deployment, "winback", partition=NEXT)
    measure_night(deployment, "winback", partition=NEXT)
    whole = night_of(deployment, "winback", NEXT)
    read = []
    kept = read_scores.with_features
    monkeypatch.setattr(read_scores, "ROWS_OF_A_SLICE", 7)
    monkeypatch.setattr(
        read_scores, "with_features", lambda *args, **kwargs: read.append(kept(*args, **kwargs)) or read[-1]
    )

    measure_night(deployment, "winback", partition=NEXT)

    assert (len(read), sum(rows.num_rows for rows in read)) == (-(-whole.rows // 7), whole.rows)
    assert len(read) > 3
    assert not pa.concat_tables(read)["churn_risk_score"].null_count
    assert night_of(deployment, "winback", NEXT) == whole


def test_monitoring_measures_what_was_scored_not_what_stands_now(deployment, in_production, shop):
    score_batch(deployment, "winback", partition=NEXT)
    measure_night(deployment, "winback", partition=NEXT)
    before, spec = night_of(deployment, "winback", NEXT), load_model("winback")
    scored_with = set(
        read_partition(deployment, spec, NEXT, service=spec.features.service).rows["churn_risk_score"].to_pylist()
    )
    late_rows_arrive(deployment, shop)
    assert heal_features(deployment, "customer_daily") is not None
    write_scores_of_churn(deployment, [NEXT], seed=6, known_after=timedelta(days=3))
    build_features(deployment, "churn_scores", start=NEXT, end=NEXT)
    stands_now = read_partition(deployment, spec, NEXT, service=spec.features.service).rows
    assert stands_now.num_rows < deployment.state.publications("predictions/winback")[NEXT]
    assert not set(stands_now["churn_risk_score"].to_pylist()) & scored_with
    measure_night(deployment, "winback", partition=NEXT)
    assert without_sources(night_of(deployment, "winback", NEXT)) == without_sources(before)


def without_sources(night: NightMetrics) -> NightMetrics:
    """Return a night without what is watched of its sources, of which late rows are a part."""
    return replace(night, checks=tuple(check for check in night.checks if "unit price" not in check.name))


def night_of(deployment: Deployment, model_id: str, night: str) -> Any:
    return next(n for n in load_nights(deployment, model_id, until=night) if n.partition == night)


def late_rows_arrive(deployment: Deployment, shop: pa.Table) -> None:
    """Deliver, a day later, orders of NEXT by many of those who were scored for having bought nothing for a week."""
    scored = rows_of(deployment, "winback", NEXT)["customer_id"].to_pylist()[::2]
    at = datetime.fromisoformat(f"{NEXT}T12:00:00").replace(tzinfo=UTC)
    late = shop.slice(0, len(scored)).to_pylist()
    for n, (row, customer) in enumerate(zip(late, scored, strict=True)):
        row |= {
            "order_id": f"late{n}", "customer_id": customer, "ordered_at": at, "kind": "sale", "ref_order_id": None,
            "received_at": at + timedelta(days=1),
        }  # fmt: skip
    schema = shop.schema.append(pa.field("received_at", INSTANT))
    path = deployment.settings.home / "late.parquet"
    pq.write_table(pa.Table.from_pylist(late, schema=schema), path)
    import_file(deployment, path, source="orders", as_of=at + timedelta(days=2))


def test_vectors_over_two_views_are_logged_and_audited_once_both_are_online(deployment, in_production):
    for group in ("customer_daily", "churn_scores"):
        verify_online(deployment, group, partition=OPEN)
    # Both views have moved on since, so that what is online is newer than OPEN: nothing of it is logged for OPEN.
    night = NEXT
    for group in ("customer_daily", "churn_scores"):
        materialize_features(deployment, group, start=night, end=night)
        verify_online(deployment, group, partition=night)
    report = audit_features(deployment, "winback", partition=partitions.shift(night, 1))
    assert report.rows > 50
    assert report.mismatches == dict.fromkeys(report.mismatches, 0)
    assert "churn_risk_score" in report.mismatches


def test_a_night_is_not_scored_with_older_values_of_a_view_that_lags(deployment, in_production, shop):
    # Delivered, and built of one of the two views only.
    folder = deployment.settings.home / "landing" / "orders" / f"dt={LAGGING}"
    folder.mkdir(parents=True)
    (folder / "_SUCCESS").touch()
    import_delivery(deployment, LAGGING, source="orders", cross_check=False)
    build_features(deployment, "customer_daily", start=LAGGING, end=LAGGING)
    told = f"features/churn_scores of {LAGGING} is not published.*mlops features build --group churn_scores --date"
    with pytest.raises(UsageError, match=f"{told}.*") as refusal:
        score_batch(deployment, "winback", partition=LAGGING)
    assert "would read older values" in str(refusal.value)
    done = score_range(deployment, "winback", start=NEXT, end=LAGGING)
    assert done.scored == (NEXT,)
    assert f"{LAGGING} was not scored: features/churn_scores of {LAGGING} is not published" in done.left[-1]
    assert LAGGING not in deployment.state.publications("predictions/winback")
    # A version in Production that reads more than the spec does by now: the DAG comes too early for it.
    spec = load_model("winback")
    newer = spec.model_copy(update={"features": FeaturesSpec(service="churn_v1", group="customer_daily")})
    with pytest.raises(NotYetError, match=f"features/churn_scores of {LAGGING} is not published, which the version"):
        read_partition(deployment, newer, LAGGING, service=spec.features.service)
    assert read_partition(deployment, newer, LAGGING, service="churn_v1").rows.num_rows > 0


@pytest.mark.parametrize("model_id", ["returned", "winback"])
def test_the_version_is_made_again_to_the_bit_whatever_has_come_since(deployment, in_production, model_id):
    found = reproduce_version(deployment, model_id, version=in_production[model_id].version, against_latest=True)
    assert found.differences == ()
    assert found.latest is not None
