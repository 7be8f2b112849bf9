"""
### Hold the retraining of models, or let it go

Throws the switch of `mlops retraining stop|start`: while it holds, every decision on the model is a veto that names who
threw it and why, a training that was granted waits, and nothing starts; a training that runs goes on. There is a switch
for each model and one for all, each with its own moves.

- **In**: the form: what to do, of which model, and why. Who asks is whom Airflow knows as logged in.
- **Out**: a row of the state table `retraining_switch`, which keeps every move.
- **Hazards**: who starts all models lets go of the switch for all; a model that is held by its own stays held.
- **Re-run**: not needed. Where the switch stands so already the task skips, and its log says who threw it and why.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag, task

from include.specs.deployed import load_specs
from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag, refusals_skip
from mlops.requests import person_of


@dag(
    dag_id="switch_retraining",
    doc_md=__doc__,
    description="Hold the retraining of a model, or of all, or let it go.",
    schedule=None,
    start_date=START_DATE,
    catchup=False,
    max_active_runs=16,
    dagrun_timeout=timedelta(hours=1),
    default_args=DEFAULT_ARGS,
    params={
        "switch": Param(type="string", enum=["stop", "start"], title="Retraining", description="What to do with it."),
        "model": Param(
            None,
            type=["null", "string"],
            enum=[None, *load_specs().models],
            title="Model",
            description="Leave empty for the switch that holds all.",
        ),
        "reason": Param(
            type="string", title="Reason", description="Kept for good.", minLength=1, maxLength=500, pattern=r"\S"
        ),
    },
    is_paused_upon_creation=False,
    tags=[Tag.TRAINING, Tag.GOVERNANCE],
)
def switch_retraining() -> None:
    @task
    def switch(params=None, dag_run=None) -> str:
        from include.adapters.deployment import Deployment
        from include.steps.switch_retraining import switch_retraining

        thrown = {"is_stop": params["switch"] == "stop", "reason": params["reason"], "actor": person_of(dag_run)}
        with refusals_skip():
            return str(switch_retraining(Deployment.from_env(), params["model"], **thrown))

    switch()


switch_retraining()
