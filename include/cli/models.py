"""`mlops models`: which models there are, what each is, and whether every spec can be used.

What belongs here: what is printed, and the exit code. What does not: what may be in a spec.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from include.cli import options


@click.group()
def models() -> None:
    """Look at the specs of models, and of what they read."""


@models.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the models of this deployment that can be used."""
    from include.views.specs import check_specs, list_models

    found = list_models()
    if wrong := [verdict.name for verdict in check_specs() if verdict.violations]:
        click.echo(f"something is wrong with {', '.join(wrong)}; see mlops models check", err=True)
    if as_json:
        click.echo(json.dumps({"models": [asdict(model) for model in found]}))
        return
    rows = [("model", "registered name", "entity", "owner", "service")]
    rows += [(m.model_id, m.registered_name, m.entity, m.owner, m.service) for m in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@models.command()
@click.argument("model_id", metavar="MODEL")
@options.as_json
def show(model_id: str, as_json: bool) -> None:
    """Print a model's spec as it holds here: with the overlay laid over it, and what ships beside what it changes."""
    from include.views.specs import view_model, write_model

    view = view_model(model_id)
    if as_json:
        files = [str(path) for path in view.files]
        click.echo(json.dumps({"model": model_id, "spec": view.values, "files": files, "shipped": view.shipped}))
        return
    click.echo(write_model(view))


@models.command()
@options.as_json
def check(as_json: bool) -> int:
    """Say of every spec whether it can be used: feature groups, feature services, labels, models.

    What is wrong is what Airflow's import error of check_specs.py would say. Exit 2 where anything is.
    """
    from include.views.specs import check_specs

    verdicts = check_specs()
    wrong = [said for verdict in verdicts for said in verdict.violations]
    if as_json:
        click.echo(json.dumps({"ok": not wrong, "specs": [asdict(verdict) for verdict in verdicts]}))
    elif wrong:
        for said in wrong:
            click.echo(said, err=True)
    else:
        for verdict in verdicts:
            click.echo(f"{verdict.kind:<16} {verdict.name}")
    return 2 if wrong else 0
