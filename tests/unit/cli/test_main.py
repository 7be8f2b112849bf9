"""The exit code of a command says what became of it, whatever was raised."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import click
import pyarrow as pa
import pytest

from include.cli import main as main_module
from include.errors import MlopsError, RefusedError, UsageError


def exit_code(monkeypatch: pytest.MonkeyPatch, raised: BaseException) -> int:
    @click.command()
    def command() -> None:
        raise raised

    monkeypatch.setattr(main_module, "cli", command)
    monkeypatch.setattr(sys, "argv", ["mlops"])
    with pytest.raises(SystemExit) as left:
        main_module.main()
    return int(left.value.code)


@pytest.mark.parametrize("raised", [KeyError("dt"), pa.ArrowInvalid("no match"), OSError("odd"), AssertionError()])
def test_what_nobody_has_foreseen_is_no_no(monkeypatch, capsys, raised):
    assert exit_code(monkeypatch, raised) == MlopsError.exit_code == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code"), [(RefusedError("no"), 1), (UsageError("how"), 2), (MlopsError("broke"), 3)]
)
def test_what_is_foreseen_is_one_line(monkeypatch, capsys, raised, code):
    assert exit_code(monkeypatch, raised) == code
    assert capsys.readouterr().err == f"mlops: {raised}\n"


def test_the_module_that_is_run_is_the_command_and_not_silence(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["mlops", "trian"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(Path(main_module.__file__)), run_name="__main__")
    assert "did you mean 'train'" in capsys.readouterr().err
