"""
### Build one night of a feature group and bring it online

Waits for the night's raw rows (a group of scores: for its model's predictions), computes the group's SQL for
that day, holds the result against the group's YAML, publishes the partition, writes it to the online store and
compares a sample of what is online with it. Then it heals: earlier nights that have received late rows or
corrections since they were built are built anew and brought online; what changed is added as a later version.

- **In**: what the group reads: lake tables `raw/<source>`, or `predictions/<model>`.
- **Out**: lake table `features/<group>`, Feast's online store, a quality report; asset `features_<group>`.
- **Hazards**: a day that is missing while later ones are there fails: it is an incident. A partition that breaks
  its YAML is not published; the last good one stays online, and the task links to the report. An earlier day that
  breaks it once corrected fails `heal`, night after night, until it is put right; the night itself is not held up.
  A group is built by one task at a time, so that a night can't undo what a later one has put right; groups are
  built side by side.
- **First**: unpause the groups that are used. What came while one was paused is filled by `backfill_features__<group>`.
- **Re-run**: clear the task, or backfill the days: the same day twice changes nothing, and an older day
  never replaces a newer online row.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import PartitionedAssetTimetable, dag

from include.specs.deployed import load_specs
from include.specs.groups import FeatureGroupSpec
from mlops import assets
from mlops.dag_defaults import (
    ARRIVAL_TIMEOUT,
    DEFAULT_ARGS,
    MACROS,
    PARTITION_TEMPLATE,
    POOL_FEATURE_STORE,
    RANGE_TIMEOUT,
    START_DATE,
    Tag,
    asked_for,
    nightly,
    partition_param,
    titled,
)
from mlops.operators.feature_store import (
    FeastMaterializeOperator,
    FeastVerifyOperator,
    FeatureGroupBuildOperator,
    FeatureGroupHealOperator,
)
from mlops.sensors.lake import RawPartitionSensor


def build_dag(spec: FeatureGroupSpec, longest_after: timedelta) -> None:
    @dag(
        dag_id=f"materialize_features__{spec.group}",
        doc_md=__doc__,
        description=titled(__doc__, spec.group),
        schedule=PartitionedAssetTimetable(assets=assets.predictions(spec.scored_by)) if spec.scored_by else nightly(),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=4,
        dagrun_timeout=timedelta(hours=12) + longest_after,
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={"partition": partition_param()},
        user_defined_macros=MACROS,
        is_paused_upon_creation=True,
        tags=[Tag.FEATURES, spec.group],
    )
    def materialize_features() -> None:
        build = FeatureGroupBuildOperator(
            task_id="build",
            group=spec.group,
            start=PARTITION_TEMPLATE,
            end=PARTITION_TEMPLATE,
            pool=POOL_FEATURE_STORE,
            max_active_tis_per_dag=1,
            execution_timeout=RANGE_TIMEOUT,
        )
        materialize = FeastMaterializeOperator(
            task_id="materialize",
            group=spec.group,
            start=PARTITION_TEMPLATE,
            end=PARTITION_TEMPLATE,
            pool=POOL_FEATURE_STORE,
            execution_timeout=RANGE_TIMEOUT,
        )
        verify = FeastVerifyOperator(
            task_id="verify",
            group=spec.group,
            partition=PARTITION_TEMPLATE,
            outlets=[assets.features(spec.group)],
        )
        heal = FeatureGroupHealOperator(
            task_id="heal",
            group=spec.group,
            pool=POOL_FEATURE_STORE,
            max_active_tis_per_dag=1,
            execution_timeout=RANGE_TIMEOUT,
        )

        for source in spec.sources:
            wait = RawPartitionSensor(
                task_id="wait_for_raw" if len(spec.sources) == 1 else f"wait_for_{source}",
                source=source,
                partition=PARTITION_TEMPLATE,
                poke_interval=10,
                timeout=ARRIVAL_TIMEOUT.total_seconds(),
            )
            wait >> build
        build >> materialize >> [verify, heal]

    materialize_features()


specs = load_specs()
for group in asked_for(specs.groups):
    build_dag(group, max((specs.sources[name].longest_after for name in group.sources), default=timedelta()))
