"""`mlops up` and `mlops down`: the embedded default in the foreground.

What belongs here: signals and what a person is told. What does not: how processes are run.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING

import click

from include.settings import Settings

if TYPE_CHECKING:
    from include.embedded.supervisor import EmbeddedAirflow


@click.command()
def up() -> None:
    """Start PostgreSQL and Airflow for this home and stay until Ctrl-C or `mlops down`.

    Everything listens on 127.0.0.1 only. MLOPS_HOME names the home, MLOPS_PORT the port.
    """
    from include.embedded.supervisor import EmbeddedAirflow

    stop_on_signals()
    airflow = EmbeddedAirflow(Settings.from_env(), say=click.echo)
    try:
        address = airflow.start()
        click.echo(f"\n  Airflow   {address.url}\n  login     {address.user} / {address.password}")
        click.echo(f"  home      {airflow.home}\n\nCtrl-C or `mlops down` stops everything.")
        stay_until_stopped(airflow)
    finally:
        airflow.stop()


@click.command()
def down() -> None:
    """Stop everything of this home, whoever started it."""
    from include.embedded.supervisor import EmbeddedAirflow

    airflow = EmbeddedAirflow(Settings.from_env(), say=click.echo)
    was_up = airflow.stop_from_outside()
    click.echo(f"{airflow.home} is down" if was_up else f"{airflow.home} was not up")


def stay_until_stopped(airflow: EmbeddedAirflow) -> None:
    """Return on Ctrl-C or a polite kill; raise where a part of Airflow has ended by itself."""
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
