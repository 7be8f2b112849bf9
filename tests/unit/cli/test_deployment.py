from __future__ import annotations

import json
import time

import click
import pytest
from click.testing import CliRunner

from include.cli import deployment


class SlowServer:
    """Takes as long as the test says, and writes down what it is asked."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[str] = []

    def hold(self, store: str) -> None:
        self.asked.append(store)
        time.sleep(self.seconds)

    def let_go(self) -> None:
        self.asked.append("let go")


@click.command()
@click.option("--stores", required=True)
def command(stores: str) -> None:
    opened = deployment.open_deployment()
    for store in stores.split():
        getattr(opened, store)
    click.echo(json.dumps({"done": True}))


def run(monkeypatch: pytest.MonkeyPatch, stores: str, *, seconds: float = 0.0, is_terminal: bool = False):
    server = SlowServer(seconds)
    monkeypatch.setattr(deployment, "_NOTED_AFTER_S", 0.1)
    monkeypatch.setattr(deployment, "_is_watched", lambda: is_terminal)
    monkeypatch.setattr("include.embedded.commands.CommandPostgres", lambda settings: server)
    return CliRunner().invoke(command, ["--stores", stores], catch_exceptions=False), server


def test_the_server_is_held_before_the_first_use_of_a_store_and_let_go_at_the_end(monkeypatch):
    _, server = run(monkeypatch, "lake state duckdb state model_registry")
    assert server.asked == ["state", "mlflow", "let go"]


def test_no_server_is_asked_for_where_no_store_is_used(monkeypatch):
    _, server = run(monkeypatch, "lake duckdb")
    assert server.asked == []


@pytest.mark.parametrize(
    ("seconds", "is_terminal", "is_noted"), [(0.4, True, True), (0.4, False, False), (0.0, True, False)]
)
def test_a_start_that_takes_long_is_noted_on_a_terminal_beside_the_output(monkeypatch, seconds, is_terminal, is_noted):
    done, _ = run(monkeypatch, "state", seconds=seconds, is_terminal=is_terminal)
    assert json.loads(done.stdout) == {"done": True}
    assert ("starting PostgreSQL" in done.stderr) is is_noted
