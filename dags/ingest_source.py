"""
### Take a night's delivery of a source

Waits for `<source>/dt=<day>/_SUCCESS` in the landing folder (or S3 prefix), holds every row against the source's rules
and publishes the day: that of the deliverer's clock, which may be over hours after the UTC day of its name. The DAG of
a source is `ingest__<source>`, that of orders `ingest_orders`.

- **In**: `MLOPS_LANDING_URI/<source>/dt=<day>/`.
- **Out**: lake tables `raw/<source>`, `quarantine/<source>`, `deliveries/<source>`; asset `raw_<source>`.
- **Hazards**: a late delivery is waited for, then skipped without an event. A broken file fails the task and
  changes nothing, as does a file that is not read.
- **Re-run**: clear the task, or backfill the days: the same delivery twice changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import dag, task

from include import partitions
from include.settings import Settings, local_path
from include.specs.deployed import load_specs
from include.specs.sources import SourceSpec
from mlops import assets
from mlops.dag_defaults import (
    ARRIVAL_TIMEOUT,
    DEFAULT_ARGS,
    MACROS,
    PARTITION_TEMPLATE,
    START_DATE,
    Tag,
    nightly,
    partition_param,
)


def build_dag(spec: SourceSpec) -> None:
    @dag(
        dag_id=spec.ingest_dag_id,
        doc_md=__doc__,
        description=spec.description,
        schedule=nightly(),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=4,
        dagrun_timeout=timedelta(hours=12) + spec.longest_after,
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={"partition": partition_param(f"Day of the deliverer's clock, {spec.time_zone}")},
        user_defined_macros=MACROS,
        tags=[Tag.INGESTION, spec.source],
    )
    def ingest_source() -> None:
        landing, marker = Settings.from_env().landing_uri, f"{spec.source}/dt={PARTITION_TEMPLATE}/_SUCCESS"
        waiting = {
            "poke_interval": 10,
            "timeout": (spec.longest_after + ARRIVAL_TIMEOUT).total_seconds(),
            "soft_fail": True,
            "deferrable": True,
        }
        if landing.startswith("s3://"):
            wait = S3KeySensor(task_id="wait_for_delivery", bucket_key=f"{landing}/{marker}", **waiting)
        else:
            wait = FileSensor(task_id="wait_for_delivery", filepath=f"{local_path(landing)}/{marker}", **waiting)
        raw = assets.raw(spec.source)

        @task(outlets=[raw], multiple_outputs=False)
        def import_delivery(outlet_events=None, **context) -> dict[str, int]:
            from include.adapters.deployment import Deployment
            from include.steps.import_source import import_delivery

            day = partitions.resolve(context)
            account = import_delivery(Deployment.from_env(), day, source=spec.source)
            outlet_events[raw].add_partitions(day)
            return {"rows_in": account.rows_in, "rows_published": account.rows_published, **account.rules}

        wait >> import_delivery()

    ingest_source()


for source in load_specs().sources.values():
    build_dag(source)
