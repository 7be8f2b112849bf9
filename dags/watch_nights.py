"""
### Find the nights that are missing

Compares, for each feature group and model, what should be of every night with what is: delivered, built, online,
scored, measured, decided. It hears of no event and depends on no other DAG: a consumer that was paused, a task that
failed for good, an event that was lost, a partition that was deleted and a scheduler that was down look alike to it.

- **In**: deliveries in the lake and in the landing folder, publications, the lake's partitions and files, the
  promotion ledger, measured nights, decisions.
- **Out**: state tables `night_incident`, a row for each night of a group or model that is missing, and
  `night_incident_end`, when it is found to be there; `alert`, and messages over the connections of `MLOPS_ALERTS`.
  Staged scores of nights that were given up a day ago are removed, also of models that are not any more.
- **Hazards**: a night that is found missing fails the task, once: its message is the cause, and what to do. The runs
  after it are green while nothing new is missing, and their log says what still is.
- **Re-run**: not needed. `mlops nights status` shows the grid, `mlops nights repair` makes up for what is missing,
  oldest first.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, task

from include import partitions
from include.specs.deployed import load_specs
from mlops.alerts import MissingNightsNotifier
from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag, nightly, partition_param, report_failure

# Half a day after the last deliverer's day is over: by then a night that was waited for is built and decided.
_latest = max((source.longest_after for source in load_specs().sources.values()), default=timedelta())
_at_hour = min(12 + -(-_latest // timedelta(hours=1)), 23)


@dag(
    dag_id="watch_nights",
    doc_md=__doc__,
    description="Find the nights that should have been built, scored, measured and decided, and were not.",
    schedule=nightly(_at_hour),
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    params={"partition": partition_param()},
    is_paused_upon_creation=False,
    tags=[Tag.MONITORING],
)
def watch_nights() -> None:
    @task(
        multiple_outputs=False,
        on_success_callback=MissingNightsNotifier(),
        on_failure_callback=[report_failure, MissingNightsNotifier()],
    )
    def watch(dag_run=None, **context) -> dict[str, int]:
        from include.adapters.deployment import Deployment
        from include.steps.watch_nights import watch_nights

        day = partitions.resolve({"dag_run": dag_run, **context})
        return watch_nights(Deployment.from_env(), until=day, run_id=dag_run.run_id)

    @task
    def sweep_staged() -> int:
        from include.adapters.deployment import Deployment
        from include.steps.score_chunks import sweep_staged

        return sweep_staged(Deployment.from_env())

    watch()
    sweep_staged()


watch_nights()
