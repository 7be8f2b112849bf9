"""The exit code of a command says what became of it, whatever was raised."""

from __future__ import annotations

import sys

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
