"""What a version of a ranking consists of, twice the same, and what its numbers are of."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import ndcg_score

from include.adapters.registry.model_files import unpack
from include.errors import RefusedError
from include.question.matrix import feature_matrix
from include.training.artifacts import Signature
from include.training.version import train_version
from tests.unit.training.examples_builder import NAMES, PAIR, make_manifest, make_pairs, make_ranking_spec

SPEC = make_ranking_spec()


def train(examples: pa.Table, spec=SPEC):
    return train_version(spec, make_manifest(spec, examples), examples)


@pytest.fixture(scope="module")
def trained():
    return train(make_pairs())


@pytest.fixture(scope="module")
def tested() -> pa.Table:
    """The examples of the last two snapshots."""
    examples = make_pairs()
    return examples.slice(examples.num_rows * 8 // 10)


def test_trained_twice_gives_identical_files(trained):
    assert dict(train(make_pairs()).files) == dict(trained.files)


def test_files_are_those_of_every_version_with_plots_of_lists(trained):
    plots = {f"plots/{name}.png" for name in ("ndcg", "hits", "places", "importance")}
    assert {name for name in trained.files if name.startswith("plots/")} == plots
    assert all(trained.files[name].startswith(b"\x89PNG") for name in plots)
    signature = Signature.from_json(trained.files["signature.json"].decode())
    assert (signature.task, signature.entity_keys, signature.feature_names) == ("ranking", PAIR, NAMES)


def test_metrics_are_those_of_the_lists_that_would_be_served(trained, tested):
    model = unpack(trained.files).model
    scores = model.predict(feature_matrix(tested, NAMES), feature_names=NAMES)
    by_list: dict[tuple, list] = {}
    for row, score in zip(tested.to_pylist(), scores.tolist(), strict=True):
        by_list.setdefault((row["customer_id"], row["event_timestamp"]), []).append(
            (-score, row["category"], row["label"])
        )
    ordered = [[label for _, _, label in sorted(each)] for each in by_list.values()]
    measured = [labels for labels in ordered if any(labels)]

    metrics = json.loads(trained.files["metrics.json"])

    assert metrics["lists"] == len(measured)
    assert metrics["lists_without_positive"] == len(ordered) - len(measured) > 0
    assert metrics["ndcg"] == pytest.approx(np.mean([ndcg_score([each], [-np.arange(8)], k=3) for each in measured]))
    assert metrics["hit_rate"] == pytest.approx(np.mean([any(each[:3]) for each in measured]))
    assert metrics["recall"] == pytest.approx(np.mean([sum(each[:3]) / sum(each) for each in measured]))
    assert (metrics["rows"], metrics["entities"], metrics["largest_list"]) == (tested.num_rows, 60, 8)
    assert metrics["ndcg"] > metrics["ndcg_low"] > metrics["ndcg_random"]


def test_the_profile_holds_margins_beyond_what_a_probability_is(trained):
    score = unpack(trained.files).profile.features[-1]
    assert (score.name, score.unjudged) == ("score", None)
    assert score.minimum < 0 < score.maximum


def test_the_card_tells_the_order_and_no_probability(trained):
    card, found = trained.files["model_card.md"].decode(), trained.evaluation
    assert "| Score | order of each customer_id's category by `no_order` within 14 days, read down to place 3" in card
    assert f"| NDCG@3 | {found.ndcg:.4f}, 95 % interval [{found.ndcg_low:.4f}, {found.ndcg_high:.4f}] |" in card
    assert f"{found.lists_without_positive:,} more hold no positive item and are left out" in card
    assert "AUC" not in card
    assert "{" not in card


@pytest.mark.thorough
def test_rankings_of_random_labels_are_not_said_to_be_better_than_a_random_order():
    gained = []
    for seed in range(4):
        examples = make_pairs(seed=seed)
        shuffled = np.random.default_rng(seed + 1000).permutation(examples["label"].to_numpy())
        found = train(examples.set_column(examples.column_names.index("label"), "label", [shuffled])).evaluation
        gained.append(found.ndcg - found.ndcg_random)
    # One such difference has a standard deviation of 0.025 (40 seeds), the mean of four one of 0.012.
    assert np.mean(gained) == pytest.approx(0, abs=0.05)


def test_lists_that_nothing_can_be_learnt_of_are_refused():
    examples = make_pairs()
    whole = pa.array((np.arange(examples.num_rows) // 8 % 2).astype(np.int8))
    with pytest.raises(RefusedError, match=r"nothing was learned from .* in 420 lists"):
        train(examples.set_column(examples.column_names.index("label"), "label", whole))
