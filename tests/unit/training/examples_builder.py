"""Seeded training examples whose labels the features tell something about, and specs to train on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from include.adapters.lake.row_digest import digest
from include.specs.models import ModelSpec, RankingModelSpec, load_model, make_model
from include.training.manifest import Provenance, TrainingSetManifest, set_id, spec_sha256

NAMES = ("total_orders_30d", "avg_order_value", "avg_order_gap_days")
PROVENANCE = Provenance("c0ffee", "10c4", code_changed=False, image_digest=None)
AS_OF = "2024-06-30"
PAIR = ("customer_id", "category")


def make_spec(**training: object) -> ModelSpec:
    """Return the churn spec with a short horizon and a small model."""
    spec = load_model("churn")
    small = spec.training.hyperparameters.model_copy(update={"n_estimators": 20, "min_child_weight": 1.0})
    values = {"test_days": 14, "bootstrap_samples": 100, "hyperparameters": small, "threads": 2, **training}
    return spec.model_copy(
        update={
            "training": spec.training.model_copy(update=values),
            "label": spec.label.model_copy(update={"horizon_days": 14}),
        }
    )


def make_examples(*, entities: int = 120, snapshots: int = 10, seed: int = 0) -> pa.Table:
    """Return one row per entity and weekly snapshot; one in five has no order gap."""
    rng = np.random.default_rng(seed)
    last = datetime(2024, 6, 17, tzinfo=UTC)
    times = [last - timedelta(days=7 * back) for back in range(snapshots)][::-1]
    n = entities * snapshots
    orders = rng.poisson(2, n)
    gap = rng.exponential(20, n).astype(np.float32)
    leaves = rng.random(n) < 1 / (1 + np.exp(orders - 0.05 * gap - 1))
    return pa.table(
        {
            "customer_id": pa.array([f"c{i:03d}" for i in range(entities)] * snapshots),
            "event_timestamp": pa.array(np.repeat(times, entities), pa.timestamp("us", tz="UTC")),
            NAMES[0]: pa.array(orders, pa.int64()),
            NAMES[1]: pa.array(rng.lognormal(3, 1, n).astype(np.float32)),
            NAMES[2]: pa.array(gap, mask=rng.random(n) < 0.2),
            "label": pa.array(leaves.astype(np.int8)),
        }
    )


def make_ranking_spec(*, top_k: int = 3, keys: tuple[str, ...] = PAIR, **training: object) -> RankingModelSpec:
    """Return a spec as `make_spec` has it, of a ranking."""
    values = make_spec(**training).model_dump()
    del values["scoring"]["decision_threshold"]
    values |= {
        "task": "ranking",
        "ranking": {"top_k": top_k},
        "gates": {"ndcg_min": 0.5, "latency_p99_ms_max": 1000.0},
        "entity": {"name": "pair", "keys": keys},
    }
    made = make_model(values, Path("ranking.yaml"))
    assert isinstance(made, RankingModelSpec)
    return made


def make_pairs(*, owners: int = 60, items: int = 8, snapshots: int = 10, seed: int = 0) -> pa.Table:
    """Return one row per owner, item and weekly snapshot: the first two features tell which items are taken."""
    rng = np.random.default_rng(seed)
    last = datetime(2024, 6, 17, tzinfo=UTC)
    times = [last - timedelta(days=7 * back) for back in range(snapshots)][::-1]
    n, of_each = owners * items * snapshots, owners * items
    taken = rng.poisson(np.tile(rng.gamma(1, 1.5, of_each), snapshots))
    popular = np.tile(rng.normal(size=items), owners * snapshots).astype(np.float32)
    is_taken = rng.random(n) < 1 / (1 + np.exp(2.5 - taken - popular))
    return pa.table(
        {
            PAIR[0]: pa.array([f"c{owner:03d}" for owner in range(owners) for _ in range(items)] * snapshots),
            PAIR[1]: pa.array([f"k{item}" for item in range(items)] * owners * snapshots),
            "event_timestamp": pa.array(np.repeat(times, of_each), pa.timestamp("us", tz="UTC")),
            NAMES[0]: pa.array(taken, pa.int64()),
            NAMES[1]: pa.array(popular, mask=rng.random(n) < 0.2),
            NAMES[2]: pa.array(rng.lognormal(3, 1, n).astype(np.float32)),
            "label": pa.array(is_taken.astype(np.int8)),
        }
    )


def make_manifest(spec: ModelSpec, examples: pa.Table) -> TrainingSetManifest:
    """Return the manifest of these examples."""
    sha256, spec_hash = digest(examples), spec_sha256(spec)
    return TrainingSetManifest(
        model_id=spec.model_id,
        set_id=set_id(as_of=AS_OF, rows_sha256=sha256, spec_hash=spec_hash, feature_names=NAMES, provenance=PROVENANCE),
        as_of=AS_OF,
        feature_service="churn_v1",
        feature_names=NAMES,
        entity_keys=spec.entity.keys,
        horizon_days=spec.label.horizon_days,
        first_snapshot="2024-04-14",
        last_snapshot="2024-06-16",
        rows=examples.num_rows,
        positives=int(np.sum(examples["label"].to_numpy())),
        rows_without_label=0,
        unpublished_snapshots=(),
        rows_sha256=sha256,
        sources={"raw/orders": 3, "features/customer_daily": 4},
        spec_sha256=spec_hash,
        provenance=PROVENANCE,
    )
