"""
### Deploy the feature store's declarations

Brings Feast's registry and the online tables to what `feature_repo` declares. Run it after a group or a feature
service was added; `make up` and `python -m include.embedded.deploy` do the same.

- **In**: `feature_repo`, the groups' YAML.
- **Out**: Feast's SQL registry, online tables with their guards.
- **Hazards**: none. A group that is gone from `include/config/features` keeps its tables and its place in the registry
  until Feast's own `feast apply` or `feast delete` takes it out.
- **Re-run**: again changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from mlops.dag_defaults import DEFAULT_ARGS, POOL_FEATURE_STORE, START_DATE, Tag
from mlops.operators.feature_store import FeastApplyOperator


@dag(
    dag_id="apply_feature_repo",
    doc_md=__doc__,
    description="Bring Feast's registry and online tables to what feature_repo declares.",
    schedule=None,
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    is_paused_upon_creation=False,
    tags=[Tag.FEATURES],
)
def apply_feature_repo() -> None:
    FeastApplyOperator(task_id="apply", pool=POOL_FEATURE_STORE)


apply_feature_repo()
