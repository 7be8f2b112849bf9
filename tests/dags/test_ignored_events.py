"""An event without a partition key starts the DAG that tells of it, and no other: by Airflow's own asset manager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)

DAY = "2026-03-01"
TAKEN_BY = {
    "retrain_churn": "train_model__churn",
    "candidate_churn": "promote_model__churn",
    "predictions_churn": "monitor_model__churn",
    "features_customer_daily": "score_batch__churn",
}


@pytest.fixture(scope="module")
def stored(home: Any) -> None:
    """Bring every DAG and asset into Airflow's database, as its DAG processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        bag = BundleDagBag(dag_folder=str(bundle.path), bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle.version)


@pytest.fixture
def session(stored: None) -> Iterator[Any]:
    """A session whose changes are taken back."""
    from airflow.utils.session import create_session

    with create_session() as opened:
        yield opened
        opened.rollback()


def starts(session: Any, asset: str, key: str | None) -> tuple[set[str], set[str]]:
    """Post an event and return the DAGs that it starts without a key, and with one."""
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetDagRunQueue, AssetModel, AssetPartitionDagRun
    from sqlalchemy import select

    model = session.scalar(select(AssetModel).where(AssetModel.name == asset))
    asset_manager.register_asset_change(
        asset=model, extra={"from_rest_api": True}, partition_key=key, source_is_api=True, session=session
    )
    session.flush()
    plain = session.scalars(select(AssetDagRunQueue.target_dag_id).where(AssetDagRunQueue.asset_id == model.id))
    keyed = select(AssetPartitionDagRun.target_dag_id).where(
        AssetPartitionDagRun.partition_key == key, AssetPartitionDagRun.created_dag_run_id.is_(None)
    )
    return set(plain), set(session.scalars(keyed)) if key else set()


@pytest.mark.parametrize("asset", [*TAKEN_BY, "raw_orders"])
def test_an_event_without_a_key_is_told_of_and_starts_nothing_else(session, asset):
    assert starts(session, asset, None) == ({"tell_ignored_events"}, set())


@pytest.mark.parametrize(("asset", "dag_id"), TAKEN_BY.items(), ids=TAKEN_BY)
def test_an_event_with_a_key_starts_who_waits_for_it_and_is_not_told_of(session, asset, dag_id):
    from airflow.models.dag import DagModel
    from sqlalchemy import update

    session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=False))
    plain, keyed = starts(session, asset, DAY)
    assert plain == set()
    assert dag_id in keyed


@pytest.mark.parametrize(("asset", "dag_id"), TAKEN_BY.items(), ids=TAKEN_BY)
def test_an_event_with_a_key_starts_nothing_of_who_is_paused_and_airflow_keeps_it_as_taken_by_nobody(
    session, asset, dag_id
):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.models.dag import DagModel
    from sqlalchemy import select, update

    session.execute(update(DagModel).where(DagModel.dag_id == dag_id).values(is_paused=True))
    _, keyed = starts(session, asset, DAY)
    assert dag_id not in keyed
    of_asset = select(AssetEvent).join(AssetModel, AssetEvent.asset_id == AssetModel.id).where(AssetModel.name == asset)
    (kept,) = session.scalars(of_asset.where(AssetEvent.partition_key == DAY))
    assert [run.dag_id for run in kept.created_dagruns] == []
