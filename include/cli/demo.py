"""`mlops demo`: the whole loop on a simulated shop or on a file of orders, and the closing report.

What belongs here: options, and what is printed. What does not: the loop, and what it plays.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from include.cli import options
from include.errors import MlopsError, RefusedError, UsageError
from include.home import HomeSettings, recall, settings_file
from include.settings import PROJECT_ROOT, Settings, home_from_env

if TYPE_CHECKING:
    from include.cli.narrator import TerminalNarrator
    from include.demo.pace import Pace
    from include.demo.plan import DemoArguments, DemoPlan
    from include.demo.play import Demo
    from include.embedded.supervisor import EmbeddedAirflow

_EXTERNAL = (
    "MLOPS_DATABASE_URL",
    "MLOPS_FEAST_ONLINE_URL",
    "MLOPS_FEAST_REGISTRY_URL",
    "MLOPS_LAKE_URI",
    "MLOPS_LANDING_URI",
    "MLOPS_MLFLOW_ARTIFACTS",
    "MLFLOW_TRACKING_URI",
)
# The overlay of a demo whose MLOPS_SPECS names none: by the format of its file, of any other file, and of none.
_OVERLAYS = {"online-retail": "online_retail"}
_ANY_FILE, _NO_FILE = "own_log", "simulator"
_FILE_NIGHTS = 14
# What can be asked of any log of orders: who comes again.
_FILE_MODELS = ("churn",)
# Where there is no terminal, a person may still answer in the browser; nobody is waited for longer than this.
_UNATTENDED_S = 30.0


@click.command()
@click.option("--orders", type=options.PATH, help="A file of orders in place of the simulator.")
@click.option("--format", "file_format", help="Of that file: one of those of mlops sources list.")
@click.option("--nights", type=click.IntRange(1, 60), help="How many nights are played.  [default: 17; of a file 14]")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Nights a minute at most.")
@click.option("--seed", type=click.IntRange(0), help="Of the simulated shop.  [default: 7]")
@click.option("--model", "models", multiple=True, help="Only these models.  [default: all; of a file churn]")
@click.option("--yes", is_flag=True, help="Approve in place of a person, and say so.")
@click.option("--keep", is_flag=True, help="Leave Airflow up until Ctrl-C.")
@click.option("--fresh", is_flag=True, help="Remove what an earlier demo left in this home, and start over.")
def demo(
    orders: Path | None,
    file_format: str | None,
    nights: int | None,
    speed: float | None,
    seed: int | None,
    models: tuple[str, ...],
    yes: bool,
    keep: bool,
    fresh: bool,
) -> None:
    """Play the whole loop through the real scheduler: a normal week, a broken batch, a drift that stays.

    Without --yes it waits for you to approve in the Airflow UI, and says where; without a terminal it does so for
    30 seconds. An interrupted demo goes on where it was. Exits 0 when every stage has ended well.
    """
    from include.cli.embedded import stay_until_stopped, stop_on_signals
    from include.cli.narrator import TerminalNarrator
    from include.demo.pace import Pace
    from include.demo.plan import DEFAULT_NIGHTS, DEFAULT_SEED, DemoArguments

    stop_on_signals()
    arguments = DemoArguments(
        models=_models(models, orders),
        nights=nights or (_FILE_NIGHTS if orders else DEFAULT_NIGHTS),
        seed=DEFAULT_SEED if seed is None else seed,
        orders=str(orders.resolve()) if orders else None,
        file_format=_format(orders, file_format, seed),
    )
    narrator = TerminalNarrator()
    airflow = _home(arguments, narrator, fresh=fresh)
    unattended = None if narrator.is_terminal else _UNATTENDED_S
    pace = Pace(approve_after_s=0.0 if yes else unattended, night_s=60 / speed if speed else 0.0)
    try:
        _run(airflow, narrator, _plan(airflow, narrator, arguments), pace)
        if keep:
            narrator.say(f"\nAirflow stays up at {airflow.address().url}; Ctrl-C or `mlops down` stops it")
            stay_until_stopped(airflow)
    except (KeyboardInterrupt, SystemExit):
        narrator.say("interrupted: the same command goes on from here, --fresh (make demo ARGS=--fresh) starts over")
        raise
    finally:
        airflow.stop()


def _models(named: tuple[str, ...], orders: Path | None) -> tuple[str, ...]:
    """Return the models that are played, each of which has a good spec: before a home is made, or one removed."""
    from include.specs.models import load_model, model_ids

    chosen = tuple(dict.fromkeys(named)) or (_FILE_MODELS if orders else model_ids())
    for model_id in chosen:
        load_model(model_id)
    return chosen


def _format(orders: Path | None, file_format: str | None, seed: int | None) -> str:
    from include.demo.plan import DEFAULT_SOURCE
    from include.quality.formats import find_format
    from include.specs.sources import load_source

    if orders is None:
        if file_format is not None:
            raise UsageError("--format says how a file is to be read: name the file with --orders, or leave it out")
        return "canonical"
    if seed is not None:
        raise UsageError("--seed is of the simulated shop: leave it out, or leave out --orders")
    if file_format is None:
        known = ", ".join(load_source(DEFAULT_SOURCE).format_names)
        raise UsageError(f"--orders needs --format: {known}")
    find_format(load_source(DEFAULT_SOURCE), file_format)
    return file_format


def _home(arguments: DemoArguments, narrator: TerminalNarrator, *, fresh: bool) -> EmbeddedAirflow:
    """Make the home of a demo, or find it again, and return what starts it."""
    from include.embedded.supervisor import EmbeddedAirflow

    external = [name for name in _EXTERNAL if os.environ.get(name)]
    if external:
        raise RefusedError(f"the demo approves its own model and keeps to its home; unset {', '.join(external)}")
    home = home_from_env()
    if fresh:
        _remove(home)
    if not _is_demo(home) or recall(home) is None:
        _make(home, arguments)
    return EmbeddedAirflow(Settings.from_env(), say=narrator.say)


def _is_demo(home: Path) -> bool:
    """Say whether a home holds a demo; refuse one that holds something else."""
    from include.demo.plan import find_plan

    if find_plan(home) is not None:
        return True
    if _holds(home, "postgres", "lake"):
        raise _not_a_demo(home)
    return False


def _not_a_demo(home: Path) -> RefusedError:
    return RefusedError(
        f"{home} holds something that is not a demo, which is left alone, with --fresh too; set MLOPS_HOME to another "
        "folder"
    )


def _holds(home: Path, *names: str) -> bool:
    return any((home / name).exists() for name in names)


def _make(home: Path, arguments: DemoArguments) -> None:
    """Make a home for a new demo, with the overlay that MLOPS_SPECS names, or else the one of such data."""
    from include.embedded.home import make_home

    # A demo that ended before it made a plan has decided nothing.
    settings_file(home).unlink(missing_ok=True)
    chosen = _OVERLAYS.get(arguments.file_format, _ANY_FILE) if arguments.orders else _NO_FILE
    shipped = PROJECT_ROOT / "include" / "config" / "overlays" / chosen
    make_home(home, HomeSettings(Settings.from_env().specs_overlay or shipped))


def _remove(home: Path) -> None:
    from include.embedded.home import EmbeddedHome

    if not _holds(home, "postgres", "lake", "demo"):
        return
    if not (_holds(home, "demo") and EmbeddedHome(home).owns_home()):
        raise _not_a_demo(home)
    EmbeddedHome(home).stop_from_outside()
    shutil.rmtree(home)


def _plan(airflow: EmbeddedAirflow, narrator: TerminalNarrator, arguments: DemoArguments) -> DemoPlan:
    from include.demo.plan import find_plan, make_plan

    is_new = find_plan(airflow.home) is None
    with narrator.working_on("making the orders"):
        plan = make_plan(airflow.home, arguments)
    narrator.say(f"{plan.source}; {len(plan.nights)} nights {plan.nights[0]} … {plan.nights[-1]}")
    if not is_new:
        narrator.say("going on with an earlier run; what is done is left as it is")
    return plan


def _run(airflow: EmbeddedAirflow, narrator: TerminalNarrator, plan: DemoPlan, pace: Pace) -> None:
    from include.adapters.deployment import Deployment
    from include.cli.embedded import told_login
    from include.demo.play import Demo
    from include.embedded.api import AirflowApi

    started = time.monotonic()
    with narrator.working_on("starting PostgreSQL and Airflow, about a minute"):
        address = airflow.start()
    up_s = time.monotonic() - started
    narrator.say(f"Airflow {address.url}  login {told_login(airflow.home, address.user)}")
    api = AirflowApi(address.url, address.password, user=address.user)
    loop = Demo(Deployment(airflow.settings), api, plan, pace, narrator, address.serving_url)
    try:
        loop.run()
    except MlopsError:
        # Whatever the demo stumbled over: it may be a part that could not be kept up.
        airflow.raise_failure()
        raise
    loop.report.seconds = {"start the servers": up_s, **loop.report.seconds}
    _report(loop, narrator)


def _report(loop: Demo, narrator: TerminalNarrator) -> None:
    from include.demo.account import read_account
    from include.demo.closing_tables import closing_tables
    from include.demo.online_questions import read_asked, sum_up
    from include.demo.report import render_report

    account = read_account(
        loop.deployment,
        [model.model_id for model in loop.models],
        nights=loop.plan.nights,
        happened=loop.plan.happened,
        runs={
            dag_id: [run["dag_run_id"] for run in loop.api.runs(dag_id) if run["state"] == "success"]
            for dag_id in loop.dags
        },
        seconds=loop.report.seconds,
        peak_pss_mb=loop.report.peak_pss_mb,
        source=loop.plan.source,
        online=sum_up(read_asked(loop.deployment.settings.home)),
    )
    for title, columns, rows in closing_tables(account):
        narrator.table(title, columns, rows)
    page = loop.deployment.settings.home / "demo" / "report.html"
    page.write_text(render_report(account), encoding="utf-8")
    narrator.say(f"\nthe report: {page.as_uri()}")
