"""
### Verify what the ledger says

Looks for rows of the ledger and of the registrations that are not as they were written (changed, missing, in another
order), and for an alias, a stage or an artifact that disagrees with them.

- **In**: the histories in the state database, the hashes kept of their rows in the lake's folder `audit/heads`,
  MLflow, the artifacts of every version.
- **Out**: MLflow's aliases and lifecycle tags, where they did not say what the ledger says; hashes that were not kept
  yet.
- **Hazards**: a finding fails the task, with a line for each, also where it has been put right: somebody ought to know
  who moved an alias past the ledger. It downloads every version's files.
- **Re-run**: clear the task; `mlops registry verify` says the same.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, task

from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag


@dag(
    dag_id="verify_registry",
    doc_md=__doc__,
    description="Find what disagrees with the promotion ledger.",
    schedule="0 5 * * *",
    start_date=START_DATE,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    is_paused_upon_creation=False,
    tags=[Tag.GOVERNANCE],
)
def verify_registry() -> None:
    @task(multiple_outputs=False)
    def verify() -> dict[str, int]:
        from include.adapters.deployment import Deployment
        from include.steps.verify_registry import require_verified

        return require_verified(Deployment.from_env())

    verify()


verify_registry()
