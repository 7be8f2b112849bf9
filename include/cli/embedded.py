"""`mlops up` and `mlops down`: the embedded default in the foreground.

What belongs here: signals and what a person is told. What does not: how processes are run.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from include.settings import Settings, home_from_env

if TYPE_CHECKING:
    from include.embedded.supervisor import EmbeddedAirflow


@click.command()
def up() -> None:
    """Start PostgreSQL, Airflow and the online service for this home; keep them up until Ctrl-C or `mlops down`.

    Everything listens on 127.0.0.1 only. MLOPS_HOME names the home, MLOPS_PORT and MLOPS_SERVING_PORT the ports,
    MLOPS_USERS who logs in.
    """
    from include.embedded.supervisor import EmbeddedAirflow

    stop_on_signals()
    airflow = EmbeddedAirflow(Settings.from_env(), say=click.echo)
    try:
        address = airflow.start()
        click.echo(f"\n  Airflow   {address.url}")
        for user in airflow.settings.users:
            click.echo(f"  login     {told_login(airflow.home, user.name)}  ({user.role})")
        click.echo(f"  service   {address.serving_url}/docs")
        click.echo(f"  home      {airflow.home}\n\nCtrl-C or `mlops down` stops everything.")
        stay_until_stopped(airflow)
    finally:
        airflow.stop()


@click.command()
def down() -> None:
    """Stop everything of this home, whoever started it."""
    from include.embedded.home import EmbeddedHome

    home = home_from_env()
    was_up = EmbeddedHome(home).stop_from_outside()
    click.echo(f"{home} is down" if was_up else f"{home} was not up")


def told_login(home: Path, user: str) -> str:
    """Return a user and the password for a terminal; elsewhere, where it may end in a log, the file that has it."""
    from include.embedded.logins import passwords_file, read_password

    if sys.stdout.isatty():
        return f"{user} / {read_password(home, user)}"
    return f"{user}, with the password in {passwords_file(home)}"


def stay_until_stopped(airflow: EmbeddedAirflow) -> None:
    """Return on Ctrl-C or a polite kill; raise where a part could not be kept up."""
    try:
        airflow.wait()
    except (KeyboardInterrupt, SystemExit):
        click.echo("\nstopping")


def stop_on_signals() -> None:
    """Make a terminal's hang-up and a polite kill end the command as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
