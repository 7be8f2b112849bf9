"""Who may import whom, read off the source; and what parsing costs, read off a fresh interpreter."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from docs.rooms import (
    FOLDERS,
    LAYERS,
    Import,
    When,
    find_circle,
    find_layer,
    find_modules,
    find_rooms,
    find_upward,
    is_in,
    join_rooms,
    keep_ours,
    read_imports,
)
from include.settings import PROJECT_ROOT

HEAVY = (
    "pandas", "numpy", "pyarrow", "duckdb", "xgboost", "onnxruntime", "feast", "mlflow", "great_expectations",
    "deltalake", "scipy", "sklearn", "matplotlib",
)  # fmt: skip
LIBRARIES_OF_IO = ("airflow", "feast", "mlflow", "deltalake", "sqlalchemy", "httpx")
MODULES = find_modules(PROJECT_ROOT)
IMPORTS = read_imports(MODULES)


def offences(
    folders: tuple[str, ...], forbidden: tuple[str, ...], *, when: tuple[When, ...] = get_args(When)
) -> list[str]:
    looked_at = [module for module in MODULES if any(is_in(module, folder) for folder in folders)]
    assert looked_at, f"no source under {folders}"
    return [
        f"{each.importer}: {each.imported}"
        for each in IMPORTS
        if each.importer in looked_at and each.when in when and any(is_in(each.imported, name) for name in forbidden)
    ]


def plant(root: Path, files: dict[str, str]) -> list[Import]:
    """Write a source tree of packages, and return who imports whom in it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.is_relative_to(root / "include"):
            (path.parent / "__init__.py").touch()
    modules = find_modules(root)
    return keep_ours(read_imports(modules), modules)


def join_modules(imports: list[Import]) -> dict[str, set[str]]:
    arrows: dict[str, set[str]] = {}
    for each in imports:
        arrows.setdefault(each.importer, set()).add(each.imported)
    return arrows


def test_every_module_stands_in_a_layer_and_every_layer_has_its_rooms():
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert [module for module in set(MODULES) - packages if find_layer(module) is None] == []
    assert [room for rooms in LAYERS.values() for room in rooms if room not in {*MODULES, *FOLDERS}] == []


def test_packages_hold_a_docstring_and_import_nothing():
    bodies = {name: ast.parse(path.read_text()).body for name, path in MODULES.items() if path.name == "__init__.py"}
    assert bodies
    assert [name for name, body in bodies.items() if [type(node) for node in body] != [ast.Expr]] == []


def test_no_import_runs_upward():
    ours = keep_ours(IMPORTS, MODULES)
    assert {each.when for each in ours} == set(get_args(When))
    assert find_upward(ours) == []


def test_no_circle_among_modules_or_rooms():
    ours = keep_ours(IMPORTS, MODULES)
    assert find_circle(join_modules(ours)) == []
    assert find_circle(join_rooms(ours, find_rooms(MODULES))) == []


LATER = "def f():\n    from {0} import {1}\n"
FOR_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {0} import {1}\n"
AT_LOAD = "from {0} import {1}\n"
FORMS = pytest.mark.parametrize(
    ("form", "when"), [(AT_LOAD, "load"), (LATER, "call"), (FOR_TYPES, "types")], ids=["load", "call", "types"]
)


@FORMS
@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("include/errors.py", "include/specs/models.py"),
        ("include/features/checks.py", "include/adapters/lake/span.py"),
        ("include/adapters/lake/span.py", "include/steps/train_model.py"),
        ("include/steps/train_model.py", "include/views/account.py"),
        ("include/views/account.py", "include/cli/main.py"),
        ("include/cli/main.py", "plugins/mlops/assets.py"),
        ("plugins/mlops/assets.py", "dags/train_model.py"),
    ],
    ids=lambda path: path.split("/")[-2],
)
def test_an_upward_import_is_found(tmp_path, form, when, low, high):
    package, _, module = high.removesuffix(".py").removeprefix("plugins/").replace("/", ".").rpartition(".")
    imports = plant(tmp_path, {low: form.format(package, module), high: "X = 1\n"})
    assert [(each.imported, each.when) for each in find_upward(imports)] == [(f"{package}.{module}", when)]
    assert find_upward(plant(tmp_path, {low: "X = 1\n", high: ""})) == []


@FORMS
def test_a_circle_is_found(tmp_path, form, when):
    files = {
        "include/quality/a.py": "from include.quality.b import f\n",
        "include/quality/b.py": "import include.quality.c\n",
        "include/quality/c.py": form.format("include.quality", "a"),
    }
    circle = find_circle(join_modules(plant(tmp_path, files)))
    assert sorted(circle[1:]) == ["include.quality.a", "include.quality.b", "include.quality.c"]
    assert circle[0] == circle[-1]
    files["include/quality/c.py"] = ""
    assert find_circle(join_modules(plant(tmp_path, files))) == []


def test_a_circle_of_rooms_is_found_though_no_modules_make_one(tmp_path):
    files = {
        "include/adapters/lake/a.py": "from include.adapters.online.b import f\n",
        "include/adapters/online/b.py": "",
        "include/adapters/online/c.py": "from include.adapters.lake import d\n",
        "include/adapters/lake/d.py": "",
        "include/adapters/__init__.py": "",
    }
    imports = plant(tmp_path, files)
    assert find_circle(join_modules(imports)) == []
    rooms = find_circle(join_rooms(imports, find_rooms(find_modules(tmp_path))))
    assert set(rooms) == {"include.adapters.lake", "include.adapters.online"}


def test_include_never_imports_airflow():
    assert offences(("include",), ("airflow",)) == []


@pytest.mark.parametrize("package", LAYERS["pure"])
def test_pure_packages_do_no_io(package):
    assert offences((package,), LIBRARIES_OF_IO) == []


def test_nothing_imports_dags_or_feature_repo():
    assert offences(("include", "mlops", "mlops_plugin"), ("dags", "feature_repo")) == []


def test_only_what_makes_orders_up_knows_the_simulator_and_its_truth():
    allowed = ("include.simulation", "include.steps.generate_orders", "include.cli.orders", "include.demo.plan")
    others = tuple(module for module in MODULES if not any(is_in(module, name) for name in allowed))
    assert [each for each in offences(others, ("include.simulation",)) if each.split(":")[0] in others] == []
    texts = {module: MODULES[module].read_text() for module in others}
    assert [module for module, text in texts.items() if "TRUTH" in text or '"truth' in text] == []


def test_dags_import_steps_only_inside_tasks():
    assert offences(("dags",), ("include.steps", "include.adapters", *HEAVY), when=("load",)) == []


@pytest.fixture(scope="module")
def loaded(home) -> tuple[set[str], set[str]]:
    """Return the modules that parsing all DAGs loads, and those that are there once Airflow has looked for plugins."""
    code = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
before = set(sys.modules)
import runpy
from pathlib import Path
from typing import get_args
files = sorted(p for p in Path(sys.argv[1]).glob("*.py"))
assert files
for path in files:
    runpy.run_path(str(path))
by_parsing = sorted(set(sys.modules) - before)
from airflow import plugins_manager
plugins_manager._get_plugins()
print(json.dumps([by_parsing, sorted(sys.modules)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(PROJECT_ROOT / "dags")],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    by_parsing, at_last = json.loads(done.stdout.splitlines()[-1])
    return set(by_parsing), set(at_last)


def test_parsing_dags_loads_no_heavy_library(loaded):
    loaded_by_parsing, _ = loaded
    assert "include.specs.models" in loaded_by_parsing
    assert sorted(loaded_by_parsing & set(HEAVY)) == []


def test_the_plugin_loader_keeps_out_of_mlops(loaded):
    _, at_last = loaded
    assert "mlops_plugin" in at_last
    assert at_last.isdisjoint({"feature_store", "drift"})
    assert (PROJECT_ROOT / "plugins" / ".airflowignore").read_text().split() == ["mlops/"]


@pytest.mark.parametrize(("part", "is_loaded"), [("dag-processor", True), ("triggerer", False)])
def test_what_reads_specs_is_loaded_before_the_dag_processor_forks_and_nothing_heavy(part, is_loaded):
    code = (
        "import runpy, sys\nfrom include.embedded import airflow_local_settings as settings\n"
        f"sys.argv = ['airflow', {part!r}]\nrunpy.run_path(settings.__file__)\nbefore = set(sys.modules)\n"
        "from include.specs.deployed import load_specs\nassert load_specs().models\n"
        f"print('sqlglot' in before, 'sqlglot' in sys.modules, sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{is_loaded} True []"


def test_commands_start_without_a_heavy_library():
    code = (
        "import sys\nfrom include.cli.main import cli\n"
        "try:\n    cli.main(['--help'], standalone_mode=False)\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_service_opens_the_state_without_what_its_image_has_not():
    code = (
        "import sys\nimport include.adapters.state.state_store, include.serving.__main__\n"
        "print([name for name in ('airflow', 'feast', 'mlflow', 'scipy', 'sklearn', 'xgboost') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("name", "least"), [("requirements.txt", 150), ("requirements-serving.txt", 30)])
def test_requirements_are_those_of_the_lock(name, least):
    import tomllib

    lock = tomllib.loads((PROJECT_ROOT / "uv.lock").read_text())
    locked = {(package["name"], package["version"]) for package in lock["package"]}
    pins = set(read_pins(name))
    assert len(pins) > least
    assert pins <= locked


def read_pins(name):
    """Give the packages of a file of requirements, with their versions."""
    for line in (PROJECT_ROOT / name).read_text().splitlines():
        if "==" in line and not line.startswith("#"):
            package, _, version = line.partition(";")[0].strip().partition("==")
            yield package.partition("[")[0], version
