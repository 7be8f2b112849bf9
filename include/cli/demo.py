"""`mlops demo`: the whole loop on a file of orders, and the closing table.

What belongs here: options and what is printed. What does not: the loop.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from include.errors import RefusedError
from include.settings import PROJECT_ROOT, Settings, local_path

if TYPE_CHECKING:
    from include.embedded.demo import Demo, DemoReport
    from include.embedded.supervisor import EmbeddedAirflow
    from include.steps.split_orders import OrdersSplit

_EXTERNAL = (
    "MLOPS_DATABASE_URL",
    "MLOPS_FEAST_ONLINE_URL",
    "MLOPS_FEAST_REGISTRY_URL",
    "MLOPS_LAKE_URI",
    "MLOPS_LANDING_URI",
    "MLOPS_MLFLOW_ARTIFACTS",
    "MLFLOW_TRACKING_URI",
)
_OVERLAYS = {"online-retail": PROJECT_ROOT / "include" / "config" / "overlays" / "online_retail"}


@click.command()
@click.option("--orders", "orders", required=True, type=click.Path(path_type=Path), help="A .parquet or .csv file.")
@click.option("--format", "order_format", required=True, help="online-retail or canonical.")
@click.option("--nights", default=14, show_default=True, type=click.IntRange(1, 60), help="Delivered one by one.")
@click.option("--model", "model_id", default="churn", show_default=True, help="The model's id.")
@click.option("--keep", is_flag=True, help="Leave Airflow up until Ctrl-C.")
@click.option("--fresh", is_flag=True, help="Remove what an earlier demo left in this home.")
def demo(orders: Path, order_format: str, nights: int, model_id: str, keep: bool, fresh: bool) -> None:
    """Drive the loop through the real scheduler, as a person would.

    Import, fill the features, train, gate, approve, then score and monitor the last nights. Exits 0
    when every stage has ended well.
    """
    from include.cli.embedded import stay_until_stopped, stop_on_signals
    from include.quality.order_formats import check_format

    stop_on_signals()
    overlay = _OVERLAYS.get(check_format(order_format))
    if overlay is not None and "MLOPS_SPECS" not in os.environ:
        os.environ["MLOPS_SPECS"] = str(overlay)
        click.echo(f"specs: the overlay {overlay.name} is laid over include/config/models")
    airflow = _empty_home(Settings.from_env(), fresh=fresh)
    split = _split(orders, order_format, nights, airflow)
    try:
        _run(airflow, split, order_format, model_id)
        if keep:
            click.echo(f"\nAirflow stays up at {airflow.address().url}; Ctrl-C or `mlops down` stops it")
            stay_until_stopped(airflow)
    finally:
        airflow.stop()


def _empty_home(settings: Settings, *, fresh: bool) -> EmbeddedAirflow:
    from include.embedded.supervisor import EmbeddedAirflow

    external = [name for name in _EXTERNAL if os.environ.get(name)]
    if external:
        raise RefusedError(f"the demo approves its own model and keeps to its home; unset {', '.join(external)}")
    airflow = EmbeddedAirflow(settings, say=click.echo)
    if (settings.home / "postgres").exists() or (settings.home / "lake").exists():
        if not fresh:
            raise RefusedError(
                f"{settings.home} holds an earlier run; start over with --fresh (make demo … ARGS=--fresh), "
                "or set MLOPS_HOME to another folder"
            )
        if not airflow.owns_home():
            raise RefusedError(
                f"{settings.home} was not made by this project and is not removed; set MLOPS_HOME elsewhere"
            )
        airflow.stop_from_outside()
        shutil.rmtree(settings.home)
    return airflow


def _split(orders: Path, order_format: str, nights: int, airflow: EmbeddedAirflow) -> OrdersSplit:
    from include.steps.split_orders import split_orders

    folder = local_path(airflow.settings.landing_uri)
    return split_orders(orders, order_format=order_format, nights=nights, landing=folder, folder=airflow.home / "demo")


def _run(airflow: EmbeddedAirflow, split: OrdersSplit, order_format: str, model_id: str) -> None:
    import time

    from include.adapters.deployment import Deployment
    from include.embedded.api import AirflowApi
    from include.embedded.demo import Demo

    started = time.monotonic()
    address = airflow.start()
    click.echo(f"Airflow {address.url}  login {address.user} / {address.password}")
    api = AirflowApi(address.url, address.password)
    loop = Demo(Deployment(airflow.settings), api, model_id, click.echo)
    report = loop.run(split, order_format=order_format)
    report.seconds = {"start the servers": time.monotonic() - started - sum(report.seconds.values()), **report.seconds}
    _print_report(loop, report, split)


def _print_report(loop: Demo, report: DemoReport, split: OrdersSplit) -> None:
    from rich.console import Console
    from rich.table import Table

    from include.embedded.account import closing_tables

    console = Console(highlight=False, width=None if os.isatty(1) else 160)
    for title, columns, rows in closing_tables(loop, report, split):
        table = Table(title=title, title_justify="left", title_style="bold", show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(str, row))
        console.print()
        console.print(table)
