"""A classifier of a customer and a category, from features to erasure, on real PostgreSQL, Feast, MLflow and lake.

Group and label ship. Its service is over two views: one of both keys, one of the customer alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.lake.training_sets import read_training_set
from include.errors import MlopsError
from include.features.versions import newest_versions
from include.specs.sources import load_source
from include.steps.audit_features import audit_features
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.decide_retrain import decide_retrain
from include.steps.export_features import export_features
from include.steps.forget_person import forget_person
from include.steps.import_source import import_delivery, import_file
from include.steps.judge_features import check_features
from include.steps.load_version import load_version
from include.steps.materialize_features import materialize_features
from include.steps.monitor_model import load_nights, measure_night
from include.steps.move_model import promote_version, stage_or_refuse
from include.steps.score_batch import score_batch
from include.steps.train_model import train_model
from include.steps.verify_online import verify_online
from tests.deployments import deployed_beside
from tests.pairs import COUNT, GROUP, KEYS, MIXED, OF_CUSTOMERS, specs_of_pairs
from tests.shop import FIRST_DAY, deliver, make_orders, on_days

pytestmark = pytest.mark.timeout(600)

MODEL = "stays_in_category"
TRAINED = partitions.shift(FIRST_DAY, 99)
NIGHT = partitions.shift(TRAINED, 1)
WINBACK = Path(__file__).parents[1] / "overlays" / "more_models" / "winback.yaml"


@pytest.fixture(scope="module")
def shop() -> pa.Table:
    """Orders of forty products in four categories."""
    orders = make_orders(days=101, customers=120)
    categories = [f"k{int(product[1:]) % 4}" for product in orders["product_id"].to_pylist()]
    return orders.set_column(orders.column_names.index("category"), "category", pa.array(categories))


@pytest.fixture(scope="module")
def deployment(home: Path, shop: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment whose model is in production as of the end of a history, and a night that came after it."""
    folder = tmp_path_factory.mktemp("pairs")
    specs = write_model(folder / "overlay")
    with specs_of_pairs(folder), deployed_beside(home, folder, "pairs", specs=specs) as made:
        pq.write_table(on_days(shop, FIRST_DAY, TRAINED), folder / "history.parquet")
        as_of = datetime.fromisoformat(NIGHT).replace(tzinfo=UTC)
        import_file(made, folder / "history.parquet", source="orders", as_of=as_of)
        for group in (GROUP, OF_CUSTOMERS):
            build_features(made, group, start=partitions.shift(TRAINED, -75), end=TRAINED)
        candidate = train_model(made, build_training_set(made, MODEL, as_of=TRAINED))
        assert stage_or_refuse(made, candidate) is None
        promote_version(made, MODEL, version=candidate.version, actor="ada", reason="gates passed")
        deliver(folder / "landing", shop, NIGHT)
        import_delivery(made, NIGHT, source="orders", cross_check=False)
        for group in (GROUP, OF_CUSTOMERS):
            build_features(made, group, start=NIGHT, end=NIGHT)
            materialize_features(made, group, start=NIGHT, end=NIGHT)
        yield made


def write_model(folder: Path) -> Path:
    """Write an overlay with the model, and return its folder."""
    folder.mkdir()
    values = yaml.safe_load(WINBACK.read_text())
    values |= {
        "model_id": MODEL,
        "registered_name": "stays-in-category",
        "entity": {"name": "customer_category", "keys": [*KEYS]},
        "features": {"service": MIXED, "group": GROUP},
        "population": "days_since_bought < 30",
        "label": {"kind": "bought_category", "horizon_days": 14},
    }
    (folder / f"{MODEL}.yaml").write_text(yaml.safe_dump(values))
    return folder


def pairs_of(rows: pa.Table) -> list[tuple[str, ...]]:
    return list(zip(*(rows[key].to_pylist() for key in KEYS), strict=True))


def bought(shop: pa.Table, first: str, last: str) -> set[tuple[str, ...]]:
    return set(pairs_of(on_days(shop, first, last)))


def test_each_pair_has_its_features_and_its_label(deployment: Deployment, shop: pa.Table) -> None:
    (set_id,) = [path.name for path in (deployment.settings.home / "lake/training_sets" / MODEL).iterdir()]
    manifest, examples = read_training_set(deployment.lake, MODEL, set_id)
    assert manifest.entity_keys == KEYS
    assert manifest.sources.keys() == {"raw/orders", f"features/{GROUP}", f"features/{OF_CUSTOMERS}"}

    rows = examples.to_pylist()

    last = max(row["event_timestamp"] for row in rows)
    day = partitions.key_of(last.date() - timedelta(days=1))
    standing = {tuple(row[key] for key in KEYS): row["label"] for row in rows if row["event_timestamp"] == last}
    assert standing.keys() == bought(shop, partitions.shift(day, -29), day)
    came_back = bought(shop, partitions.shift(day, 1), partitions.shift(day, 14))
    assert standing == {pair: int(pair in came_back) for pair in standing}


def test_the_version_knows_its_keys(deployment: Deployment) -> None:
    version = deployment.state.production_version_at(MODEL, NIGHT)
    assert version is not None

    loaded = load_version(deployment, MODEL, version)

    assert loaded.signature.entity_keys == KEYS


def test_a_night_is_scored_pair_by_pair_measured_and_decided(deployment: Deployment, shop: pa.Table) -> None:
    scored = score_batch(deployment, MODEL, partition=NIGHT)

    rows = deployment.lake.read(f"predictions/{MODEL}", start=NIGHT, end=NIGHT)
    assert scored is not None
    assert scored.rows == rows.num_rows == len(set(pairs_of(rows)))
    assert set(pairs_of(rows)) == bought(shop, partitions.shift(NIGHT, -29), NIGHT)
    assert measure_night(deployment, MODEL, partition=NIGHT)["data_quality"] == "ok"
    assert [night.age for night in load_nights(deployment, MODEL, until=NIGHT)] == [1]
    assert decide_retrain(deployment, MODEL, partition=NIGHT, run_id="r").action in ("hold", "retrain")


def test_a_group_of_two_keys_is_checked_and_exported(deployment: Deployment, tmp_path: Path) -> None:
    assert check_features(deployment, GROUP, start=NIGHT, end=NIGHT).passed

    ref = export_features(deployment, GROUP, partition=NIGHT, path=tmp_path / "out.parquet")

    exported = pairs_of(pq.read_table(tmp_path / "out.parquet"))
    assert len(exported) == ref.rows
    assert exported == sorted(set(exported))


def test_vectors_of_pairs_are_held_against_the_offline_truth(deployment: Deployment) -> None:
    for group in (GROUP, OF_CUSTOMERS):
        assert verify_online(deployment, group, partition=NIGHT) > 50

    report = audit_features(deployment, MODEL, partition=partitions.shift(NIGHT, 1))

    assert report.rows == 100
    assert report.mismatches == dict.fromkeys(report.mismatches, 0)
    assert len(report.mismatches) == 2


def test_a_wrong_row_online_is_named_by_both_keys(deployment: Deployment) -> None:
    feast = deployment.feature_store
    chosen = newest_versions(deployment.lake.read(f"features/{GROUP}", start=NIGHT, end=NIGHT), keys=KEYS).slice(0, 1)
    (pair,) = pairs_of(chosen)
    name = COUNT[GROUP]
    wrong = chosen.set_column(chosen.column_names.index(name), name, pc.add(chosen[name], 1)).drop_columns(["dt"])
    feast._store.write_to_online_store(GROUP, wrong.to_pandas())
    try:
        with pytest.raises(MlopsError, match=rf"{pair[0]}.*{pair[1]}.* {name} is \d+ online, \d+ in the table"):
            verify_online(deployment, GROUP, partition=NIGHT, sample=10_000)
    finally:
        feast.materialize(GROUP, start=NIGHT, end=NIGHT)


def test_a_customer_is_erased_from_every_pair(deployment: Deployment) -> None:
    tables = [f"features/{GROUP}", f"predictions/{MODEL}", f"online_vectors/{MODEL}"]
    score_batch(deployment, MODEL, partition=NIGHT)
    verify_online(deployment, OF_CUSTOMERS, partition=NIGHT)
    night = deployment.lake.read(tables[0], start=NIGHT, end=NIGHT)
    gone = deployment.lake.read(tables[2])["customer_id"][0].as_py()
    mine = [pair for pair in pairs_of(night) if pair[0] == gone]
    others = [pair for pair in pairs_of(night) if pair[0] != gone]

    erased = forget_person(deployment, gone, source=load_source("orders"), today=date(2026, 5, 1))

    assert erased.online == {GROUP: len(mine), OF_CUSTOMERS: 1}
    assert set(tables) <= set(erased.rows)
    for table in tables:
        customers = deployment.lake.read(table)["customer_id"].to_pylist()
        assert customers
        assert gone not in customers
    found = deployment.feature_store.online_group(GROUP, [*mine, *others], at=partitions.end_of(NIGHT))
    assert found.unknown == tuple(mine)
