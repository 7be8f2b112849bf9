"""Who may import whom, read off the source; and what parsing costs, read off a fresh interpreter."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.settings import PROJECT_ROOT

HEAVY = (
    "pandas", "numpy", "pyarrow", "duckdb", "xgboost", "onnxruntime", "feast", "mlflow", "great_expectations",
    "deltalake", "scipy", "sklearn", "matplotlib",
)  # fmt: skip
PURE = ("question", "quality", "training", "scoring", "monitoring", "governance", "features", "simulation")
PURE_FORBIDDEN = (
    "airflow", "feast", "mlflow", "include.adapters", "include.steps", "include.views", "include.cli",
    "include.embedded", "include.demo", "deltalake", "sqlalchemy", "httpx", "dags", "feature_repo",
)  # fmt: skip


def imports(path: Path, *, module_level: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if module_level else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((PROJECT_ROOT / folder).rglob("*.py"))]
    assert found, f"no source under {folders}"
    return found


def offences(paths: list[Path], forbidden: tuple[str, ...], *, module_level: bool = False) -> list[str]:
    return [
        f"{path.relative_to(PROJECT_ROOT)}: {name}"
        for path in paths
        for name in sorted(imports(path, module_level=module_level))
        if any(name == root or name.startswith(root + ".") for root in forbidden)
    ]


def test_include_never_imports_airflow():
    assert offences(sources("include"), ("airflow", "mlops")) == []


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_do_no_io(package):
    assert offences(sources(f"include/{package}"), PURE_FORBIDDEN) == []


def test_adapters_know_neither_steps_nor_the_command_line():
    assert (
        offences(
            sources("include/adapters"),
            ("include.steps", "include.cli", "include.embedded", "include.views", "include.demo"),
        )
        == []
    )


def test_nothing_imports_dags_or_feature_repo():
    assert offences(sources("include", "plugins"), ("dags", "feature_repo")) == []


def test_only_what_makes_orders_up_knows_the_simulator_and_its_truth():
    allowed = {"include/steps/generate_orders.py", "include/cli/orders.py", "include/demo/plan.py"}
    others = [
        path
        for path in sources("include", "plugins", "dags", "feature_repo")
        if path.parent.name != "simulation" and str(path.relative_to(PROJECT_ROOT)) not in allowed
    ]
    assert offences(others, ("include.simulation",)) == []
    assert [str(path) for path in others if "TRUTH" in path.read_text() or '"truth' in path.read_text()] == []


def test_dags_import_steps_only_inside_tasks():
    assert offences(sources("dags"), ("include.steps", "include.adapters", *HEAVY), module_level=True) == []


@pytest.fixture(scope="module")
def loaded_by_parsing(home) -> set[str]:
    code = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
import runpy
from pathlib import Path
files = sorted(p for p in Path(sys.argv[1]).glob("*.py"))
assert files
for path in files:
    runpy.run_path(str(path))
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(PROJECT_ROOT / "dags")],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_parsing_dags_loads_no_heavy_library(loaded_by_parsing):
    assert "include.specs.models" in loaded_by_parsing
    assert sorted(loaded_by_parsing & set(HEAVY)) == []


def test_the_plugin_loader_keeps_out_of_mlops(home):
    code = (
        "import sys; from airflow import plugins_manager; plugins_manager._get_plugins(); "
        "print('feature_store' in sys.modules, 'drift' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
    assert (PROJECT_ROOT / "plugins" / ".airflowignore").read_text().split() == ["mlops/"]


def test_commands_start_without_a_heavy_library():
    code = (
        "import sys\nfrom include.cli.main import cli\n"
        "try:\n    cli.main(['--help'], standalone_mode=False)\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_requirements_are_those_of_the_lock():
    import tomllib

    lock = tomllib.loads((PROJECT_ROOT / "uv.lock").read_text())
    locked = {(package["name"], package["version"]) for package in lock["package"]}
    lines = (PROJECT_ROOT / "requirements.txt").read_text().splitlines()
    pins = {tuple(line.split(";")[0].strip().split("[")[0].split("==")) if "[" not in line else
            (line.split("[")[0], line.split("==")[1].split(";")[0].strip())
            for line in lines if "==" in line and not line.startswith("#")}  # fmt: skip
    assert len(pins) > 150
    assert pins <= locked
