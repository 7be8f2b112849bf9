"""
### Tell of asset events that no DAG takes

Every DAG that an event starts works on a day, which it has from the event's partition key. An event without one, posted
by hand for example, reaches none of them, and Airflow says so in a log of its scheduler. Such an event starts this DAG,
and no other does: its run fails, and says which event it was and what to do.

- **In**: the assets that DAGs wait for, and `raw_<source>`.
- **Out**: a failed run; nothing is written.
- **Hazards**: none.
- **Re-run**: not needed: post the event again, with a partition key, or run `request_retrain__<model>`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import AssetAny, dag, task

from include.specs.deployed import load_specs
from mlops import assets
from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag
from mlops.events import require_taken

specs = load_specs()
watched = [
    *map(assets.raw, specs.sources),
    *map(assets.features, specs.groups),
    *(of(model) for model in specs.models for of in (assets.predictions, assets.retrain, assets.candidate)),
]


@dag(
    dag_id="tell_ignored_events",
    doc_md=__doc__,
    description="Fail where an asset event was posted that no DAG takes.",
    schedule=AssetAny(*watched),
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    is_paused_upon_creation=False,
    tags=[Tag.MONITORING],
)
def tell_ignored_events() -> None:
    @task
    def tell(triggering_asset_events=None) -> None:
        require_taken(event for events in triggering_asset_events.values() for event in events)

    tell()


tell_ignored_events()
