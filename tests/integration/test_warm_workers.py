"""A process that Airflow forks its tasks from has loaded what they run; a spec is not among it, nor a thread."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.settings import PROJECT_ROOT

# Started as Airflow's command is. The fork tells what it has to load yet, and what it takes from a spec that was
# changed between the start and the fork, in as many bytes and with the same times.
SCHEDULER = """
import importlib, json, os, sys, threading
import airflow.settings

warm, spec = set(sys.modules), os.path.join(os.environ["MLOPS_SPECS"], "churn.yaml")
found = os.stat(spec)
with open(spec, "w") as file:
    file.write("owner: after1\\n")
os.utime(spec, ns=(found.st_atime_ns, found.st_mtime_ns))
threads = threading.active_count()
if os.fork() == 0:
    for name in json.loads(os.environ["NAMED"]):
        importlib.import_module(name)
    from include.specs.models import load_model

    loaded = sorted(set(sys.modules) - warm)
    print(json.dumps({"loaded": loaded, "threads": threads, "owner": load_model("churn").owner}), flush=True)
    os._exit(0)
os.wait()
"""


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the fork of a scheduler tells."""
    folder = tmp_path_factory.mktemp("scheduler")
    (folder / "churn.yaml").write_text("owner: before\n")
    shutil.copy(PROJECT_ROOT / "include" / "embedded" / "airflow_local_settings.py", folder)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCHEDULER, "scheduler"],
        env={
            **os.environ,
            "MLOPS_SPECS": str(folder),
            "NAMED": json.dumps(sorted(named_in_tasks())),
            "PYTHONPATH": os.pathsep.join(map(str, (folder, PROJECT_ROOT, PROJECT_ROOT / "plugins"))),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


def named_in_tasks() -> set[str]:
    """Return our modules that the DAG files and the operators name, those that only a task imports among them."""
    folders = [PROJECT_ROOT / "dags", PROJECT_ROOT / "plugins" / "mlops" / "operators"]
    nodes = [node for folder in folders for path in folder.glob("*.py") for node in ast.walk(parsed(path))]
    named = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name for name in named if name.startswith("include.")}


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_a_task_finds_all_that_it_imports_loaded(forked):
    assert "include.steps.score_batch" in named_in_tasks()
    assert forked["loaded"] == []


def test_no_thread_runs_that_would_be_missing_in_a_fork(forked):
    assert forked["threads"] == 1


def test_a_spec_that_was_changed_before_the_fork_is_read_anew(forked):
    assert forked["owner"] == "after1"
