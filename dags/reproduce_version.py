"""
### Make a version again, to the bit

Builds the training set of a registered version from the versions of the lake's tables that it was made from, and the
model from that set by the spec that is kept with the version, and compares the sha256 of the set's rows, of `model.ubj`
and of `model.onnx` with what was registered.

- **In**: the version; the lake's tables as they were then, MLflow, the artifacts of the version, the ledger. Asked to
  compare with the tables of today, those as well.
- **Out**: nothing is written, no set, no version, no run; how many rows are others by now is in the log.
- **Hazards**: a difference fails the task, with a line for each and its cause: a table's version that is not kept any
  more, a file that was altered, a spec, a lock or a commit that is another one. Where all is equal, what is not as it
  was is a warning. `mlops lake pins` says which versions are kept, and until when.
- **Re-run**: clear the task; `mlops reproduce --model <model> --version <version>` says the same, and names the rows
  with `--against latest`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, task

from include.specs.deployed import load_specs
from include.specs.models import ModelSpec
from mlops.dag_defaults import DEFAULT_ARGS, POOL_TRAINING, START_DATE, Tag, asked_for, titled


def build_dag(spec: ModelSpec) -> None:
    @dag(
        dag_id=f"reproduce_version__{spec.model_id}",
        doc_md=__doc__,
        description=titled(__doc__, spec.model_id),
        schedule=None,
        start_date=START_DATE,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=6),
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={
            "version": Param(
                type="integer", minimum=1, maximum=2**31 - 1, title="Version", description="Its number in MLflow."
            ),
            "against_latest": Param(
                False,
                type="boolean",
                title="Compare with today",
                description="Also count the rows that the tables of today would give another value.",
            ),
        },
        is_paused_upon_creation=False,
        tags=[Tag.GOVERNANCE, spec.model_id],
    )
    def reproduce_version() -> None:
        @task(pool=POOL_TRAINING, execution_timeout=timedelta(hours=4), multiple_outputs=False)
        def reproduce(params=None) -> dict[str, object]:
            from include.adapters.deployment import Deployment
            from include.steps.reproduce_version import require_reproduced

            version, against_latest = params["version"], params["against_latest"]
            return require_reproduced(
                Deployment.from_env(), spec.model_id, version=version, against_latest=against_latest
            )

        reproduce()

    reproduce_version()


for model in asked_for(load_specs().models):
    build_dag(model)
