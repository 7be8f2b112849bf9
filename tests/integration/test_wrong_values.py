"""Every command of `mlops` with values that can't be: one line that names the value, code 2, and nothing is started.

The commands and their options are walked, so that a new one is held to it too.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from include.cli.main import _COMMANDS, cli, main
from include.cli.options import OUT_FILE

GIVEN = {
    "model_id": "churn", "group": "customer_daily", "partition": "2026-03-01", "start": "2026-03-01", "reason": "why",
    "as_of": "2026-03-01", "version": "1", "leaving": "1", "file_format": "canonical", "keys": "customer_id",
    "customer_id": "17850",
}  # fmt: skip
WRONG = {
    "day": ("", "3 March", "2026-02-30", "2026-3-1", "20260301"),
    "model": ("", "churm", "../churn", "churn "),
    "group": ("", "customer_dialy", "customer_daily ", "../models/churn"),
    "number": ("one", "1.5", ""),
    "reason": ("", "  "),
    "customer": ("", "  "),
    "path": ("",),
}


def walk(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from walk(found, *path, name)


COMMANDS = dict(walk(cli))


def kind_of(parameter: click.Parameter) -> str | None:
    if parameter.metavar == "YYYY-MM-DD":
        return "day"
    if isinstance(parameter.type, click.types.IntParamType):
        return "number" if isinstance(parameter.type, click.IntRange) else "unbounded number"
    if isinstance(parameter.type, click.Path):
        return "path"
    return {"model_id": "model", "group": "group", "reason": "reason", "customer_id": "customer"}.get(
        str(parameter.name)
    )


def beside(parameter: click.Parameter) -> Iterator[str]:
    """Give the numbers next to the bounds of an option."""
    if isinstance(parameter.type, click.IntRange):
        yield from (str(bound - 1) for bound in [parameter.type.min] if bound is not None)
        yield from (str(bound + 1) for bound in [parameter.type.max] if bound is not None)


def word(parameter: click.Parameter, value: str) -> list[str]:
    return [parameter.opts[0], value] if isinstance(parameter, click.Option) else [value]


def members() -> Iterator[object]:
    for path, command in COMMANDS.items():
        for parameter in command.params:
            for value in (*WRONG.get(str(kind_of(parameter)), ()), *beside(parameter)):
                if (path[0], value) == ("registry", "churm") and path[-1] in ("status", "ledger", "verify"):
                    # It may have been a model once: its ledger is asked first.
                    continue
                for form in ((), ("--json",)) if any(each.name == "as_json" for each in command.params) else ((),):
                    told = f"{' '.join((*path, *form))} {parameter.opts[0]} {value!r}"
                    yield pytest.param(path, parameter, value, form, id=told, marks=[pytest.mark.thorough] * len(form))


def asked(path: tuple[str, ...], folder: Path, **instead: str) -> list[str]:
    """Return a command with every value that it needs, and these."""
    words = list(path)
    for parameter in COMMANDS[path].params:
        name = str(parameter.name)
        if name in instead:
            words += word(parameter, instead[name])
        elif parameter.required:
            words += word(parameter, GIVEN.get(name) or str(folder / f"{name}.csv"))
    return words


@pytest.fixture
def mlops(tmp_path, monkeypatch, capsys):
    """Run the command in this process, in a home that is not there, and return its code and what it said."""
    for name in [name for name in os.environ if name.startswith(("MLOPS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("include.cli.embedded.stop_on_signals", lambda: None)
    monkeypatch.setattr("include.embedded.supervisor.EmbeddedAirflow.start", lambda _: pytest.fail("it is started"))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mlops", *words])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), *capsys.readouterr()

    return run


def assert_refused(told: tuple[int, str, str], *words: str) -> None:
    code, out, err = told
    # The demo says on which values it stands before it looks at one.
    assert (code, out if "is laid over" not in out else "") == (2, ""), err
    assert err.startswith("mlops: ")
    assert len(err.splitlines()) == 1, err
    for each in words:
        assert each in err


def test_there_are_commands_and_every_number_has_bounds():
    assert {path[0] for path in COMMANDS} == set(_COMMANDS)
    loose = [
        (path, parameter.name)
        for path, command in COMMANDS.items()
        for parameter in command.params
        if kind_of(parameter) == "unbounded number"
    ]
    assert loose == []


@pytest.mark.parametrize(("path", "parameter", "value", "form"), members())
def test_a_value_that_can_not_be_is_refused_before_anything_is_started(mlops, tmp_path, path, parameter, value, form):
    told = mlops(*asked(path, tmp_path, **{str(parameter.name): value}), *form)
    assert_refused(told, value.strip() or repr(value))
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_a_command_without_what_it_needs_and_one_with_a_word_too_many_is_one_line(mlops, tmp_path, path):
    needs = [parameter for parameter in COMMANDS[path].params if parameter.required]
    if needs:
        assert_refused(mlops(*path), "Missing", f"see mlops {' '.join(path)} --help")
    assert_refused(mlops(*asked(path, tmp_path), "--no-such-option"), "No such option", "--no-such-option")


# A range may end beyond what is there, a shop be made up for any day, and what governs the next night is known today.
OF_ANY_DAY = {
    ("orders", "generate"): ("start", "end"),
    ("orders", "import"): ("history_until",),
    ("sources", "import"): ("history_until",),
    ("nights", "status"): ("end",),
    ("nights", "repair"): ("end",),
    ("policy", "backtest"): ("start", "end", "changes"),
    ("registry", "ledger"): ("partition",),
}


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        pytest.param(path, parameter, id=f"{' '.join(path)} {parameter.opts[0]}")
        for path, command in COMMANDS.items()
        for parameter in command.params
        if kind_of(parameter) == "day" and parameter.name not in OF_ANY_DAY.get(path, ())
    ],
)
def test_a_day_to_come_is_refused_before_anything_is_started(mlops, tmp_path, path, parameter):
    to_come = (datetime.now(UTC).date() + timedelta(days=2)).isoformat()
    told = mlops(*asked(path, tmp_path, **{str(parameter.name): to_come}))
    assert_refused(told, f"{parameter.opts[0]} {to_come} is later than today")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        pytest.param(path, parameter, id=f"{' '.join(path)} {parameter.opts[0]}")
        for path, command in COMMANDS.items()
        for parameter in command.params
        if parameter.type is OUT_FILE
    ],
)
def test_a_file_in_a_folder_that_is_not_there_is_refused_before_anything_is_started(mlops, tmp_path, path, parameter):
    file = tmp_path / "absent" / "out.csv"
    assert_refused(
        mlops(*asked(path, tmp_path, **{str(parameter.name): str(file)})), f"there is no folder {file.parent}"
    )
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("predictions", "export", "--model", "churn", "--date", "2026-03-01", "--out", ""),
            "--out='' names no folder",
        ),
        (
            ("predictions", "export", "--model", "churn", "--date", "2026-03-01", "--out", "ftp://a/b"),
            "file://… or s3://",
        ),
        (("predictions", "export", "--model", "churn", "--date", "2026-03-01", "--out", "s3://"), "names no bucket"),
        (("predictions", "export", "--model", "churn", "--date", "2026-03-01", "--out", "file://a/b"), "file:///a/b"),
        (("policy", "backtest", "--model", "churn", "--start", "2026-03-02", "--end", "2026-03-01"), "swap them"),
        (
            ("policy", "backtest", "--model", "churn", "--change", "1 March"),
            "--change: partition '1 March' is not a day",
        ),
        (("registry", "status", "--model", "Churn"), "--model='Churn' is no model's id"),
        (("registry", "verify", "Churn"), "MODEL='Churn' is no model's id"),
        (("sources", "check", ""), "FILE='' names no file"),
        (("sources", "check", "orders", ""), "FILE='' names no file"),
    ],
)
def test_what_an_option_can_not_take_is_told_by_its_name(mlops, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    assert_refused(mlops(*words), told)
    assert list(tmp_path.iterdir()) == []


def test_a_report_does_not_take_the_place_of_what_it_is_of(mlops, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n")
    given = ("--reference", str(file), "--current", str(file), "--html", f"{tmp_path}/./rows.csv")
    assert_refused(mlops("drift", "report", *given), "--html", "rows.csv is what the report is of; name another file")
    assert file.read_text() == "a\n1\n"


def test_a_busy_port_is_refused_before_anything_is_started(mlops, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_refused(mlops("serve", "--port", port), f"--port {port} is taken")
    assert not (tmp_path / "home").exists()


def test_nothing_expires_by_a_day_to_come(mlops):
    assert_refused(mlops("lake", "expire", "--as-of", "9999-12-30"), "--as-of 9999-12-30 is later than today")
