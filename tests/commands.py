"""Commands of `mlops` as processes of their own, on a home that a person has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What it asks the state for is of no matter: it works until it is told to end, or is ended. Ctrl-C ends it also where
# the tests run in the background, whose jobs ignore it.
_WORK = """
import click, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from include.cli.deployment import open_deployment
@click.command()
def work():
    state = open_deployment().state
    state.ledger("churn")
    print("works", flush=True)
    sys.stdin.readline()
    print(len(state.ledger("churn")), flush=True)
work()
"""


def environment(home: Path, **env: str) -> dict[str, str]:
    """Return the variables of a person whose home that is, and who has set these besides."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_", "AIRFLOW"))}
    return {**kept, "MLOPS_HOME": str(home), **env}


def start(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start a command."""
    return _start(env, "from include.cli.main import main; main()", *arguments)


@contextmanager
def at_work(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Give a command that uses the state database until it reads a line."""
    process = _start(env, _WORK)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n", process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def _start(env: dict[str, str], script: str, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env)
