"""
### Take a night's delivery of orders

Waits for `orders/dt=<day>/_SUCCESS` in the landing folder (or S3 prefix), holds every row against the
contract and publishes the day.

- **In**: `MLOPS_LANDING_URI/orders/dt=<day>/`.
- **Out**: lake tables `raw/orders`, `quarantine/orders`, `raw/deliveries`; asset `raw_orders`.
- **Hazards**: a late delivery is waited for, then skipped without an event. A broken file fails the task and
  changes nothing.
- **Re-run**: clear the task, or backfill the days: the same delivery twice changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import dag, task

from include import partitions
from include.settings import Settings, local_path
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


@dag(
    dag_id="ingest_orders",
    doc_md=__doc__,
    schedule=nightly(),
    start_date=START_DATE,
    catchup=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(hours=12),
    default_args=DEFAULT_ARGS,
    params={"partition": partition_param()},
    user_defined_macros=MACROS,
    tags=[Tag.INGESTION],
)
def ingest_orders() -> None:
    landing, marker = Settings.from_env().landing_uri, f"orders/dt={PARTITION_TEMPLATE}/_SUCCESS"
    waiting = {"poke_interval": 10, "timeout": ARRIVAL_TIMEOUT.total_seconds(), "soft_fail": True, "deferrable": True}
    if landing.startswith("s3://"):
        wait = S3KeySensor(task_id="wait_for_delivery", bucket_key=f"{landing}/{marker}", **waiting)
    else:
        wait = FileSensor(task_id="wait_for_delivery", filepath=f"{local_path(landing)}/{marker}", **waiting)

    @task(outlets=[assets.RAW_ORDERS])
    def import_delivery(outlet_events=None, **context) -> dict[str, int]:
        from include.adapters.deployment import Deployment
        from include.steps.import_source import import_delivery

        day = partitions.resolve(context)
        account = import_delivery(Deployment.from_env(), day)
        outlet_events[assets.RAW_ORDERS].add_partitions(day)
        return {"rows_in": account.rows_in, "rows_published": account.rows_published, **account.rules}

    wait >> import_delivery()


ingest_orders()
