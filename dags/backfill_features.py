"""
### Build a range of days of a feature group in one run

One pass of the group's SQL over the whole range, its quality gate, one commit; then the range goes online, and a
sample of it is compared.

- **In**: what the group reads: lake tables `raw/<source>`, or `predictions/<model>`.
- **Out**: lake table `features/<group>`, Feast's online store, a quality report. No asset event: history is filled,
  nothing is scored or decided. To score a range, run `rescore_range__<model>`.
- **Hazards**: none for what is newer: an older day never replaces a newer online row. Days that break the YAML fail
  `build_range`, which names them, their entities and what to do, once all others are published; those go online with
  a run of their own days.
- **Re-run**: the same range twice changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from include.specs.deployed import load_specs
from include.specs.groups import FeatureGroupSpec
from mlops.dag_defaults import (
    DEFAULT_ARGS,
    MACROS,
    POOL_FEATURE_STORE,
    RANGE_TIMEOUT,
    START_DATE,
    Tag,
    asked_for,
    day_param,
    titled,
)
from mlops.operators.feature_store import FeastMaterializeOperator, FeastVerifyOperator, FeatureGroupBuildOperator


def build_dag(spec: FeatureGroupSpec) -> None:
    @dag(
        dag_id=f"backfill_features__{spec.group}",
        doc_md=__doc__,
        description=titled(__doc__, spec.group),
        schedule=None,
        start_date=START_DATE,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=6),
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={"start": day_param("First day"), "end": day_param("Last day, included")},
        user_defined_macros=MACROS,
        is_paused_upon_creation=False,
        tags=[Tag.FEATURES, spec.group],
    )
    def backfill_features() -> None:
        build = FeatureGroupBuildOperator(
            task_id="build_range",
            group=spec.group,
            start="{{ params.start }}",
            end="{{ params.end }}",
            pool=POOL_FEATURE_STORE,
            execution_timeout=RANGE_TIMEOUT,
        )
        materialize = FeastMaterializeOperator(
            task_id="materialize",
            group=spec.group,
            start="{{ params.start }}",
            end="{{ params.end }}",
            pool=POOL_FEATURE_STORE,
            execution_timeout=RANGE_TIMEOUT,
        )
        verify = FeastVerifyOperator(task_id="verify", group=spec.group, partition="{{ params.end }}")

        build >> materialize >> verify

    backfill_features()


for group in asked_for(load_specs().groups):
    build_dag(group)
