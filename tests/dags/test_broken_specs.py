"""A spec that is wrong takes down its own DAGs and no others, and Airflow says so: through the real DAG processor."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import yaml

from include.settings import PROJECT_ROOT, embedded_database_url

pytestmark = pytest.mark.timeout(300)

KINDS = (
    "monitor_model", "promote_model", "reproduce_version", "request_retrain", "rescore_range", "score_batch",
    "train_model",
)  # fmt: skip
CHURN = {f"{kind}__churn" for kind in KINDS}
GROUPS = ("churn_scores", "customer_category_daily", "customer_daily", "order_risk", "product_daily")
ALL = {
    "apply_feature_repo",
    "ask_about_waiting",
    "ingest_orders",
    "switch_retraining",
    "tell_ignored_events",
    "verify_registry",
    "watch_nights",
    *CHURN,
    *(f"{kind}_features__{group}" for kind in ("materialize", "backfill") for group in GROUPS),
}

REFUNDED = {"kind": "refunded", "horizon_days": 60}


class Processor:
    """A deployment of one model, a copy of the project, whose DAG folder a real DAG processor looks at."""

    def __init__(self, home: Path, root: Path) -> None:
        self.root = root
        self.config = root / "include" / "config"
        self._url = embedded_database_url(home, "airflow").replace("+psycopg", "")
        for folder in ("dags", "include", "plugins", "feature_repo"):
            shutil.copytree(PROJECT_ROOT / folder, root / folder)
        for path in {*(self.config / "models").iterdir()} - {self.config / "models" / "churn.yaml"}:
            path.unlink()
        shutil.copy(PROJECT_ROOT / "pyproject.toml", root)
        # As in a home: what each file's parsing needs is loaded once.
        shutil.copy(PROJECT_ROOT / "include" / "embedded" / "airflow_local_settings.py", root)
        bundle = {
            "name": "broken_specs",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(root / "dags"), "refresh_interval": 1},
        }
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(root / "plugins"),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "1",
            "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "1",
            "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "1",
        }
        del self.environment["MLOPS_SPECS"]
        self.log = root / "processor.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "dag-processor"],
                env=self.environment, cwd=root, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def declared(self) -> tuple[list[str], list[str]]:
        """Return the views and the services that the deployment declares to Feast."""
        code = (
            "import json; from include.adapters.feature_store.load_feast import load_feast; load_feast(); "
            "from feature_repo.feature_services import SERVICES; from feature_repo.feature_views import VIEWS; "
            "print(json.dumps([sorted(VIEWS), sorted(SERVICES)]))"
        )
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env=self.environment, cwd=self.root, capture_output=True, text=True, check=True,
        )  # fmt: skip
        views, services = json.loads(done.stdout.splitlines()[-1])
        return views, services

    def query(self, sql: str, *values: object) -> list[tuple]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(sql, values).fetchall()

    def standing(self, since: float) -> set[str]:
        """Return the DAGs that were read since an instant and that Airflow would run."""
        return {
            dag_id
            for (dag_id,) in self.query(
                "SELECT dag_id FROM dag WHERE bundle_name = 'broken_specs' AND NOT is_stale AND NOT has_import_errors "
                "AND last_parsed_time > to_timestamp(%s)",
                since,
            )
        }

    def errors(self) -> str:
        rows = self.query("SELECT filename, stacktrace FROM import_error WHERE bundle_name = 'broken_specs' ORDER BY 1")
        return "\n".join(f"{filename}\n{stacktrace}" for filename, stacktrace in rows)

    def wait(self, dags: set[str], errors: tuple[str, ...]) -> str:
        """Wait until exactly these DAGs stand, each read anew, and these words are among the import errors.

        The processor, which would parse without a pause, is awake for that long only.
        """
        since, deadline = time.time(), time.monotonic() + 90
        os.killpg(self.process.pid, signal.SIGCONT)
        while time.monotonic() < deadline:
            found, said = self.standing(since), self.errors()
            if found == dags and bool(said) == bool(errors) and all(words in said for words in errors):
                os.killpg(self.process.pid, signal.SIGSTOP)
                return said
            time.sleep(0.5)
        pytest.fail(f"{sorted(found ^ dags)} differ; import errors:\n{said}\n{self.log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def processor(home, tmp_path_factory):
    started = Processor(home, tmp_path_factory.mktemp("project"))
    try:
        yield started
    finally:
        # It has nothing to bring to an end, and takes its time to stop.
        os.killpg(started.process.pid, signal.SIGKILL)
        started.process.wait(30)


@pytest.fixture
def config(processor):
    """Give the deployment's configuration, and put it right again."""
    kept = processor.root / "kept"
    shutil.copytree(processor.config, kept)
    yield processor.config
    shutil.rmtree(processor.config)
    kept.rename(processor.config)


def edit(path, **values):
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}, sort_keys=False))


def add(config, kind, name, *, like, **values):
    edit(shutil.copy(config / kind / f"{like}.yaml", config / kind / f"{name}.yaml"), **values)


def of_group(group):
    return {f"materialize_features__{group}", f"backfill_features__{group}"}


def test_what_is_wrong_beside_a_model_takes_down_its_own_dags_only(processor, config):
    add(config, "models", "fraud", like="churn", model_id="fraud", registered_name="fraud-detector", ownr="x")
    add(config, "models", "twin", like="churn", model_id="twin")
    add(config, "models", "refund", like="churn", model_id="refund", registered_name="refund-detector", label=REFUNDED)
    (config / "models" / "torn.yaml").write_bytes(b"\xff\xfe")
    add(config, "features", "product_hourly", like="product_daily", group="product_hourly")
    edit(config / "features" / "order_risk.yaml", ttl_days="x")
    said = processor.wait(
        ALL - of_group("order_risk"),
        (
            "fraud.yaml: unknown key 'ownr'; allowed: ",
            "did you mean 'owner'?",
            "twin.yaml: registered_name='churn-predictor' is that of churn",
            "refund.yaml: label.kind='refunded': there is no kind of label 'refunded'",
            "torn.yaml can't be read",
            "product_hourly.yaml: group='product_hourly' has no statement",
            "order_risk.yaml: ttl_days='x'",
        ),
    )
    assert said.startswith("check_specs.py\n")
    assert "churn.yaml" not in said


def test_the_feature_store_is_told_of_what_stands(processor, config):
    edit(config / "features" / "order_risk.yaml", ttl_days="x")
    views, services = processor.declared()
    assert views == sorted(set(GROUPS) - {"order_risk"})
    assert services == ["churn_v1", "customer_features", "recommendation_v1"]


@pytest.mark.thorough
def test_a_group_that_a_model_reads_takes_its_dags_along_and_is_named(processor, config):
    edit(config / "features" / "customer_daily.yaml", ttl_days="x")
    processor.wait(
        ALL - CHURN - of_group("customer_daily"),
        ("churn.yaml: features.group='customer_daily' can't be used: customer_daily.yaml: ttl_days='x'",),
    )


def test_what_was_put_right_is_back_and_nothing_is_said_any_more(processor):
    processor.wait(ALL, ())
