"""
### Build one night of a feature group and bring it online

Waits for the night's raw orders, computes the group's SQL for that day, holds the result against the group's
YAML, publishes the partition and writes it to the online store. Earlier nights that the delivery brought late
rows or corrections for are built anew with it.

- **In**: lake table `raw/orders`.
- **Out**: lake table `features/<group>`, Feast's online store; asset `features_<group>`.
- **Hazards**: a day that is missing while later ones are there fails: it is an incident. A partition that breaks
  a bound is not published; the last good one stays online.
  One build runs at a time, so that a night can't overwrite what a later one has put right.
- **Re-run**: clear the task, or backfill the days: the same day twice changes nothing, and an older day
  never replaces a newer online row.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, task

from include import partitions
from include.specs import FeatureGroupSpec, load_feature_groups
from mlops import assets
from mlops.dag_defaults import (
    ARRIVAL_TIMEOUT,
    DEFAULT_ARGS,
    MACROS,
    PARTITION_TEMPLATE,
    POOL_FEATURE_STORE,
    START_DATE,
    Tag,
    nightly,
    partition_param,
)
from mlops.operators.feature_store import FeastMaterializeOperator
from mlops.sensors.lake import RawPartitionSensor


def build_dag(spec: FeatureGroupSpec) -> None:
    @dag(
        dag_id=f"materialize_features__{spec.group}",
        doc_md=__doc__,
        description=spec.description,
        schedule=nightly(),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=4,
        dagrun_timeout=timedelta(hours=12),
        default_args=DEFAULT_ARGS,
        params={"partition": partition_param()},
        user_defined_macros=MACROS,
        tags=[Tag.FEATURES, spec.owner],
    )
    def materialize_features() -> None:
        wait = RawPartitionSensor(
            task_id="wait_for_raw",
            partition=PARTITION_TEMPLATE,
            poke_interval=10,
            timeout=ARRIVAL_TIMEOUT.total_seconds(),
        )

        @task(pool=POOL_FEATURE_STORE)
        def build(**context) -> object:
            from include.adapters.deployment import Deployment
            from include.steps.build_features import build_night

            return build_night(Deployment.from_env(), spec.group, partition=partitions.resolve(context))

        materialize = FeastMaterializeOperator(
            task_id="materialize",
            group=spec.group,
            start=PARTITION_TEMPLATE,
            end=PARTITION_TEMPLATE,
            pool=POOL_FEATURE_STORE,
            outlets=[assets.features(spec.group)],
        )

        wait >> build() >> materialize

    materialize_features()


for group in load_feature_groups():
    build_dag(group)
