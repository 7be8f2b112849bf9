"""A DAG of one's own in a home, that watches for a file as docs/events.md shows.

What belongs here: its folder, and what became of files that were dropped. What does not: a claim.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from include.settings import PROJECT_ROOT
from tests.e2e.loop import Loop

WATCHING = "ask_on_a_price_list"
_READY = "landing/price_list.ready"
_LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"


def add_watching_dag(folder: Path) -> dict[str, str]:
    """Write the example into a folder of DAGs, asking nobody, and return the environment that has Airflow look there.

    It is asked in `tests/dags`: a training that is asked for here would be one of the loop's.
    """
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT_ROOT / "docs" / "events.md").read_text(), re.DOTALL)
    code = code.replace("/landing", str(folder / "landing")).replace("poke_interval=30.0", "poke_interval=0.5")
    code = re.sub(r"TriggerDagRunOperator\(.*?\n    \)", 'EmptyOperator(task_id="ask")', code, flags=re.DOTALL)
    own = folder / "dags"
    for made in (own, (folder / _READY).parent):
        made.mkdir(parents=True)
    (own / "price_list.py").write_text("from airflow.providers.standard.operators.empty import EmptyOperator\n" + code)
    bundles = [
        {"name": "dags-folder", "classpath": _LOCAL, "kwargs": {}},
        {"name": "own", "classpath": _LOCAL, "kwargs": {"path": str(own)}},
    ]
    return {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles)}


def drop_file(loop: Loop) -> None:
    """Drop the file, and wait until it is taken and the run that it starts has ended."""
    before, ready = len(loop.api.runs(WATCHING)), loop.deployment.settings.home.parent / _READY
    ready.touch()
    loop.until(lambda: len(loop.api.runs(WATCHING)) > before and not ready.exists(), "a run for the dropped file", 120)
    loop.ended(WATCHING, loop.api.runs(WATCHING)[-1]["dag_run_id"])
