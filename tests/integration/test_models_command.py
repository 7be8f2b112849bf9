"""`mlops models` as a person runs it: what it prints, its codes, and how soon it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from include.cli.main import main
from include.specs.yaml_files import CONFIG_ROOT
from tests.architecture.test_imports import HEAVY
from tests.everyday import members


def models(*arguments: str, specs: Path | None = None) -> subprocess.CompletedProcess[str]:
    return mlops("models", *arguments, specs=specs)


def mlops(*arguments: str, specs: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "MLOPS_SPECS"}
    if specs is not None:
        environment["MLOPS_SPECS"] = str(specs)
    return subprocess.run(
        [sys.executable, "-c", "from include.cli.main import main; main()", *arguments],
        capture_output=True, text=True, env=environment, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def models_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run the command in this process: what it prints and its code are all that is asked."""
    monkeypatch.delenv("MLOPS_SPECS")
    umask = os.umask(0o077)

    def run(*arguments: str, specs: Path | None = None) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["mlops", "models", *arguments])
            if specs is not None:
                patch.setenv("MLOPS_SPECS", str(specs))
            with pytest.raises(SystemExit) as ended:
                main()
        return subprocess.CompletedProcess(arguments, ended.value.code, *capsys.readouterr())

    yield run
    os.umask(umask)


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """Give an overlay of which two files are wrong, one of them in two ways."""
    (tmp_path / "churn.yaml").write_text("gates:\n  auc_min: 1.7\nowner: 3\n")
    (tmp_path / "fraud.yml").write_text("")
    return tmp_path


def test_what_can_be_used_is_a_line_each_and_code_0():
    done = models("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "model            churn" in done.stdout.splitlines()
    assert len(done.stdout.splitlines()) >= 9


def test_every_violation_is_told_and_the_code_is_2(wrong):
    done = models("check", specs=wrong)
    assert (done.returncode, done.stdout) == (2, "")
    owner, auc, stray = sorted(done.stderr.splitlines(), key=lambda line: ("owner" not in line, line))
    assert owner.startswith("churn.yaml: owner=3: ")
    assert auc.startswith("churn.yaml: gates.auc_min=1.7: ")
    assert stray == "fraud.yml is not read; rename it fraud.yaml"


def test_json_is_one_object_with_the_same_code(models_here, wrong):
    for specs, code in ((None, 0), (wrong, 2)):
        done = models_here("check", "--json", specs=specs)
        found = json.loads(done.stdout)
        assert (done.returncode, found["ok"], done.stderr) == (code, code == 0, "")
        assert {"kind", "name", "violations"} == set(found["specs"][0])


def test_a_model_is_shown_and_an_unknown_one_is_answered_with_the_known(models_here, wrong):
    shown = json.loads(models_here("show", "churn", "--json").stdout)
    assert shown["spec"]["features"] == {"service": "churn_v1", "group": "customer_daily"}
    done = models_here("show", "churm")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "mlops: there is no model 'churm'; known: churn, fraud, recommendation; did you mean 'churn'?\n"
    )


def test_models_are_listed_and_those_that_can_not_be_used_told_of(models_here, wrong):
    assert models_here("list").stdout.splitlines()[1].split() == [
        "churn", "churn-predictor", "customer", "growth-analytics", "churn_v1",
    ]  # fmt: skip
    done = models_here("list", specs=wrong)
    assert "mlops models check" in done.stderr
    listed = json.loads(models_here("list", "--json", specs=wrong).stdout)["models"]
    assert [model["model_id"] for model in listed] == ["fraud", "recommendation"]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("training-set build --as-of 2026-03-01", marks=pytest.mark.thorough),
        "train --as-of 2026-03-01",
        pytest.param("score --date 2026-03-01", marks=pytest.mark.thorough),
        pytest.param("monitor --date 2026-03-01", marks=pytest.mark.thorough),
        "registry promote --version 1 --reason better",
        pytest.param("registry reject --version 1 --reason worse", marks=pytest.mark.thorough),
        pytest.param("registry rollback --from 1 --reason worse", marks=pytest.mark.thorough),
    ],
)
def test_nothing_is_run_or_moved_for_a_model_that_has_anothers_registered_name(tmp_path, command):
    """Nothing is up here: it is told before anything is asked."""
    twin = yaml.safe_load((CONFIG_ROOT / "models" / "churn.yaml").read_text())
    (tmp_path / "twin.yaml").write_text(yaml.safe_dump({**twin, "model_id": "twin"}))
    done = mlops(*command.split(), "--model", "twin", specs=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mlops: twin.yaml: registered_name='churn-predictor' is that of churn")


@pytest.mark.parametrize(
    "arguments", members([["list"], ["show", "churn"], ["check"]], daily=[["check"]]), ids=" ".join
)
def test_it_is_there_at_once_for_it_loads_nothing_heavy(arguments):
    code = (
        "import sys; from include.cli.main import cli\n"
        f"cli.main(['models', *{arguments!r}], standalone_mode=False)\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
