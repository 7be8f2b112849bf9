"""
### Measure a scored night and decide whether to retrain

Records what the night tells of whom earlier nights scored, judges the night's data, then its drift against the bins
frozen at training, then decides, with reasons. Nights before it that were scored and wait are decided first, in their
order; what was missed since the last decided one is said. A retrain of an earlier night that no training has claimed,
as while training was paused, is asked for again, and so is a business event that was posted to the asset meanwhile.

- **In**: asset `predictions_<model>`, lake tables `predictions/<model>` and `features/<group>`, the account of the
  night's delivery, and the sources that the model's label reads.
- **Out**: lake table `outcomes/<model>`; state tables `monitoring_metric`, `retrain_decision` and `alert`; asset
  `retrain_<model>`, only when a decision acts; messages over the connections of `MLOPS_ALERTS`.
- **Hazards**: none for a replay: a decision acts only where its partition is newer than the model's watermark and
  is the newest published one; otherwise it is recorded with `acted = false`. A training that is asked for twice
  starts once: its decision is claimed. `audit` skips where no online vector was logged, and fails where none can be:
  the model's feature service was not applied, for example.
  A night that is not scored, as one that has not come, fails at once; of one that is, rows that its label reads
  are waited for.
- **Re-run**: clear the tasks; the run gets its own decision back.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import PartitionedAssetTimetable, TriggerRule, dag, task

from include import partitions
from include.specs.deployed import load_specs
from include.specs.models import ModelSpec
from mlops import assets
from mlops.alerts import AlertNotifier
from mlops.dag_defaults import DEFAULT_ARGS, START_DATE, Tag, asked_for, partition_param, refusals_skip, skip, titled
from mlops.requests import posted_unheard


def build_dag(spec: ModelSpec) -> None:
    @dag(
        dag_id=f"monitor_model__{spec.model_id}",
        doc_md=__doc__,
        description=titled(__doc__, spec.model_id),
        schedule=PartitionedAssetTimetable(assets=assets.predictions(spec.model_id)),
        start_date=START_DATE,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=2),
        default_args={**DEFAULT_ARGS, "owner": spec.owner},
        params={"partition": partition_param()},
        is_paused_upon_creation=False,
        tags=[Tag.MONITORING, spec.model_id],
    )
    def monitor_model() -> None:
        @task
        def record_outcomes(**context) -> object:
            from include.adapters.deployment import Deployment
            from include.steps.record_outcomes import record_outcomes

            return record_outcomes(Deployment.from_env(), spec.model_id, partition=partitions.resolve(context))

        # Also where outcomes can't be recorded: drift does not depend on them.
        @task(multiple_outputs=False, trigger_rule=TriggerRule.ALL_DONE)
        def measure(**context) -> dict[str, str]:
            from include.adapters.deployment import Deployment
            from include.steps.monitor_model import measure_night

            return measure_night(Deployment.from_env(), spec.model_id, partition=partitions.resolve(context))

        @task(on_success_callback=AlertNotifier(spec.model_id))
        def decide(dag_run=None, **context) -> object:
            from include.adapters.deployment import Deployment
            from include.steps.decide_retrain import decide_retrain

            day = partitions.resolve({"dag_run": dag_run, **context})
            return decide_retrain(Deployment.from_env(), spec.model_id, partition=day, run_id=dag_run.run_id)

        # Also after a night that could not be decided: what waits does not depend on it.
        @task(
            inlets=[assets.retrain(spec.model_id)],
            outlets=[assets.retrain(spec.model_id)],
            trigger_rule=TriggerRule.ALL_DONE,
        )
        def ask_again(inlet_events=None, outlet_events=None, dag_run=None, **context) -> str:
            from include.adapters.deployment import Deployment
            from include.steps.ask_again import ask_again

            day, asset = partitions.resolve({"dag_run": dag_run, **context}), assets.retrain(spec.model_id)
            posted = posted_unheard(inlet_events[asset])
            nights = ask_again(Deployment.from_env(), spec.model_id, posted, partition=day)
            if not nights:
                skip("no training waits for a run")
            outlet_events[asset].add_partitions(nights)
            return f"the retrain of {', '.join(nights)} waits for its training"

        @task(outlets=[assets.retrain(spec.model_id)])
        def signal(decision: object, outlet_events=None) -> str:
            if not decision.acted:
                skip(f"decision {decision.number} is {decision.action}; it does not act")
            outlet_events[assets.retrain(spec.model_id)].add_partitions(decision.partition)
            return f"decision {decision.number} starts a training"

        @task(multiple_outputs=False)
        def audit(**context) -> dict[str, int]:
            from include.adapters.deployment import Deployment
            from include.steps.audit_features import require_no_skew

            day = partitions.resolve(context)
            with refusals_skip():
                return require_no_skew(Deployment.from_env(), spec.model_id, partition=day)

        audit()
        measured = measure()
        decision = decide()
        record_outcomes() >> measured >> decision >> ask_again()
        signal(decision)

    monitor_model()


for model in asked_for(load_specs().models):
    build_dag(model)
