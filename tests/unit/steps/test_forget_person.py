from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from include.adapters.lake.row_digest import digest
from include.adapters.lake.training_sets import write_training_set
from include.errors import UsageError
from include.refs import ChunkRef
from include.specs.model_sections import ScoringSpec
from include.specs.models import load_model
from include.specs.sources import load_source
from include.steps.build_features import build_features
from include.steps.build_training_set import build_training_set
from include.steps.find_tables import find_tables
from include.steps.forget_person import Erasure, forget_person
from include.steps.heal_features import heal_features
from include.steps.materialize_features import materialize_features
from include.steps.record_outcomes import record_outcomes
from include.steps.score_batch import score_batch
from include.steps.score_chunks import commit_chunks, plan_chunks
from tests.deployments import lake_only
from tests.raw_orders import line, orders
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec

DAY = "2024-01-01"
ORDERS, QUARANTINE = "raw/orders", "quarantine/orders"
OF_CUSTOMERS = ("features/customer_daily", "predictions/churn", "online_vectors/churn")
OF_ORDERS = ("features/order_risk",)
ONLINE = [
    ("customer_id", "gone"), ("order_id", "o1"), ("order_id", "o2"), ("customer_id", "kept"), ("order_id", "o3")
]  # fmt: skip


class FakeOnline:
    """Entities that are online."""

    def __init__(self) -> None:
        self.held = set(ONLINE)

    def forget(self, join_key: str, key: str) -> dict[str, int]:
        removed = (join_key, key) in self.held
        self.held.discard((join_key, key))
        return {f"of_{join_key}": int(removed)}


class StoppedError(Exception):
    """The process was killed."""


def keyed(name: str, *keys: str) -> pa.Table:
    return pa.table({name: list(keys), "dt": [date.fromisoformat(DAY)] * len(keys)})


def quarantined(*rows: dict[str, Any]) -> pa.Table:
    return pa.table({"source": ["f"] * len(rows), "row": [json.dumps(row) for row in rows]})


def deployed(folder: Path) -> Any:
    made = lake_only(folder)
    made.feature_store = FakeOnline()
    return made


def make_deployment(folder: Path) -> Any:
    """A lake with rows of `gone`, who has the orders o1 and o2, and of `kept`, who has o3, in tables of every kind."""
    made = deployed(folder)
    raw = [line(f"{DAY}T0{n}:00", customer=who, order=f"o{n}") for n, who in ((1, "gone"), (2, "gone"), (3, "kept"))]
    made.lake.replace(ORDERS, orders(*raw), keys=[DAY])
    for table in OF_CUSTOMERS:
        made.lake.replace(table, keyed("customer_id", "gone", "kept"), keys=[DAY])
    for table in OF_ORDERS:
        made.lake.replace(table, keyed("order_id", "o1", "o2", "o3"), keys=[DAY])
    rejected = quarantined({"customer_id": "gone"}, {"customer_id": "kept"})
    made.lake.replace(QUARANTINE, rejected, keys=["f"], partition_by="source")
    assert {table.name for table in find_tables(made.lake)} == {ORDERS, QUARANTINE, *OF_CUSTOMERS, *OF_ORDERS}
    return made


def forget(deployment: Any) -> Erasure:
    return forget_person(
        deployment, "gone", source=load_source("orders"), today=datetime(2024, 2, 1, tzinfo=UTC).date()
    )


def assert_only_others_are_left(deployment: Any) -> None:
    assert deployment.feature_store.held == {("customer_id", "kept"), ("order_id", "o3")}
    for table in (ORDERS, *OF_CUSTOMERS):
        assert deployment.lake.read(table)["customer_id"].to_pylist() == ["kept"], table
    for table in OF_ORDERS:
        assert deployment.lake.read(table)["order_id"].to_pylist() == ["o3"], table
    assert [json.loads(row)["customer_id"] for row in deployment.lake.read(QUARANTINE)["row"].to_pylist()] == ["kept"]


def stop_at(deployment: Any, patch: pytest.MonkeyPatch, nth: int, *, after: bool) -> None:
    """Stop before or after the nth write, to the lake or online."""
    writes: Iterator[int] = count(1)

    def stopping(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            place = next(writes)
            if place == nth and not after:
                raise StoppedError
            done = write(*args, **kwargs)
            if place == nth:
                raise StoppedError
            return done

        return call

    patch.setattr(deployment.lake, "update", stopping(deployment.lake.update))
    patch.setattr(deployment.feature_store, "forget", stopping(deployment.feature_store.forget))


def test_every_row_of_the_customer_is_removed_and_counted_and_nobody_elses(tmp_path):
    deployment = make_deployment(tmp_path)
    waiting = tmp_path / "lake" / "staged_scores" / "churn" / f"{DAY}.plan" / "00000.arrow"
    waiting.parent.mkdir(parents=True)
    waiting.touch()
    erased = forget(deployment)
    assert_only_others_are_left(deployment)
    assert not waiting.parent.exists()
    assert erased.rows == {
        ORDERS: 2, QUARANTINE: 1, **dict.fromkeys(OF_CUSTOMERS, 1), **dict.fromkeys(OF_ORDERS, 2)
    }  # fmt: skip
    assert erased.online == {"of_customer_id": 1, "of_order_id": 2}
    with pytest.raises(UsageError, match="is in no table"):
        forget(deployment)


@pytest.mark.parametrize(
    ("after", "step"),
    [
        (False, 3),
        pytest.param(False, 1, marks=pytest.mark.thorough),
        pytest.param(True, 1, marks=pytest.mark.thorough),
    ],
    ids=["before-every-third-write", "before-a-write", "after-a-write"],
)
def test_an_erasure_that_stopped_anywhere_is_completed_by_the_next(tmp_path, monkeypatch, after, step):
    make_deployment(tmp_path / "0")
    for nth in count(1, step):
        shutil.copytree(tmp_path / "0", tmp_path / str(nth))
        deployment = deployed(tmp_path / str(nth))
        with monkeypatch.context() as patch:
            stop_at(deployment, patch, nth, after=after)
            try:
                forget(deployment)
            except StoppedError:
                pass
            else:
                break
        # Nothing is left to do where it was stopped after the last write.
        with suppress(UsageError):
            forget(deployment)
        assert_only_others_are_left(deployment)
    assert nth > len(find_tables(deployment.lake)) + len(ONLINE) - 2


class AskedError(Exception):
    """Somebody wants to be alone with a work."""


@pytest.mark.parametrize(
    "write",
    [
        lambda made: build_features(made, "customer_daily", start=DAY, end=DAY),
        lambda made: heal_features(made, "customer_daily"),
        lambda made: materialize_features(made, "customer_daily", start=DAY, end=DAY),
        lambda made: score_batch(made, "churn", partition=DAY),
        lambda made: plan_chunks(made, "churn", partition=DAY),
        lambda made: commit_chunks(made, ChunkRef("churn", DAY, "plan", 0), []),
        lambda made: record_outcomes(made, "churn", partition=DAY),
        lambda made: build_training_set(made, "churn", as_of=DAY),
    ],
    ids=["build", "heal", "online", "score", "plan", "commit", "outcomes", "training-set"],
)
def test_nobody_writes_rows_of_people_while_somebody_is_erased(tmp_path, monkeypatch, write):
    deployment, asked = make_deployment(tmp_path), []
    chunked = load_model("churn").model_copy(update={"scoring": ScoringSpec(chunk_rows=1000)})
    monkeypatch.setattr("include.steps.score_chunks.load_model", lambda _: chunked)
    # Nobody knows from what the published day was built.
    deployment.state.record_publications(OF_CUSTOMERS[0], [(DAY, 1)], 0, source_versions=None)

    def alone(work: str, *, not_during: str | None = None) -> Any:
        asked.append((work, not_during))
        raise AskedError

    deployment.state.alone = alone
    with pytest.raises(AskedError):
        write(deployment)
    with pytest.raises(AskedError):
        forget(deployment)
    (_, not_during), (erasing, _) = asked
    assert not_during == erasing


@pytest.mark.parametrize(
    "row",
    [
        {"CustomerID": "17850.0"},
        {"CustomerID": 17850.0},
        {"CustomerID": 17850},
        {"customer_id": "17850", "quantity": None},
    ],
    ids=["text-of-a-float", "float", "whole", "canonical"],
)
def test_a_quarantined_row_is_found_however_the_file_wrote_the_id(tmp_path, row):
    deployment = make_deployment(tmp_path)
    others = [{"CustomerID": "178500"}, {"CustomerID": None}, {"InvoiceNo": "17850"}, {"CustomerID": "A.0"}]
    deployment.lake.replace(QUARANTINE, quarantined(row, *others), keys=["f"], partition_by="source")
    erased = forget_person(deployment, "17850", source=load_source("orders"), today=date(2024, 2, 1))
    assert erased.rows == {QUARANTINE: 1}
    assert [json.loads(left) for left in deployment.lake.read(QUARANTINE)["row"].to_pylist()] == others


@pytest.mark.parametrize(
    "row",
    [
        {"customer_id": None, "order_id": "o1"},
        {"InvoiceNo": "o2", "CustomerID": None},
        {"ref_order_id": "o2", "order_id": "o9"},
    ],
    ids=["canonical", "online-retail", "of-what-undoes-it"],
)
def test_a_quarantined_row_that_names_nobody_is_whose_the_order_is(tmp_path, row):
    deployment = make_deployment(tmp_path)
    others = [
        {"customer_id": "kept", "order_id": "o1"},
        {"customer_id": None, "order_id": "o3"},
        {"customer_id": None, "order_id": None},
        {"customer_id": None, "product_id": "o1"},
    ]
    deployment.lake.replace(QUARANTINE, quarantined(row, *others), keys=["f"], partition_by="source")
    assert forget(deployment).rows[QUARANTINE] == 1
    assert [json.loads(left) for left in deployment.lake.read(QUARANTINE)["row"].to_pylist()] == others


def pinned(deployment: Any, keys: tuple[str, ...], sources: dict[str, int], **examples: list[str]) -> None:
    """Write a training set that nobody holds."""
    rows = pa.table(examples)
    manifest = replace(make_manifest(make_spec(), make_examples()), set_id="s", entity_keys=keys)
    manifest = replace(manifest, sources=sources, rows=rows.num_rows, rows_sha256=digest(rows))
    write_training_set(deployment.lake, manifest, rows)
    deployment.model_registry = SimpleNamespace(find=lambda *_, **__: None)
    deployment.state.ledger = lambda _: ()


@pytest.mark.parametrize(
    ("keys", "examples", "sources", "held"),
    [
        (("customer_id",), {"customer_id": ["gone"]}, {}, True),
        (("customer_id",), {"customer_id": ["kept"]}, {}, False),
        (("order_id",), {"order_id": ["o2"]}, {}, True),
        (("order_id",), {"order_id": ["o3"]}, {}, False),
        (("customer_id", "category"), {"customer_id": ["gone"], "category": ["tea"]}, {}, True),
        (("product_id",), {"product_id": ["gone"]}, {}, False),
        (("product_id",), {"product_id": ["p"]}, {ORDERS: 0}, True),
        (("product_id",), {"product_id": ["p"]}, {"features/order_risk": 0}, True),
        (("product_id",), {"product_id": ["p"]}, {"features/of_a_group_that_is_gone": 0}, True),
    ],
    ids=[
        "customer", "another", "order", "anothers-order", "two-keys", "product", "pins-orders", "pins-rows-by-order",
        "pins-what-no-spec-names",
    ],
)  # fmt: skip
def test_a_training_set_is_named_if_it_or_what_it_pins_may_hold_the_person(tmp_path, keys, examples, sources, held):
    deployment = make_deployment(tmp_path)
    pinned(deployment, keys, sources, **examples)
    assert [pin.set_id for pin in forget(deployment).pins] == (["s"] if held else [])
