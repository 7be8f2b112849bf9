"""`mlops models`: which models there are, what each is, and whether every spec can be used.

What belongs here: what is printed, and the exit code. What does not: what may be in a spec.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from include.cli import options
from include.cli.written import tell_written


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
@click.argument("name")
@click.option("--from", "like", required=True, metavar="MODEL", help="The model whose values it begins with.")
@click.option(
    "--group",
    callback=options.check_group,
    help="The feature group that it is asked about, if another; it gets a service of its own.",
)
@click.option("--label", metavar="KIND", help="The kind of its label, if another; a new one gets a statement.")
@options.as_json
def new(name: str, like: str, group: str | None, label: str | None, as_json: bool) -> None:
    """Write the YAML of a model NAME that begins as another one, and the stubs it needs, for you to read and correct.

    It is written into the overlay that MLOPS_SPECS names, or among the models that ship. Nothing is overwritten.
    """
    from include.steps.propose_model import propose_model, write_model

    proposal = propose_model(name, like=like, group=group, label=label)
    written = write_model(proposal)
    following = [
        f"mlops models check {name}",
        f"mlops features build --group {proposal.group} --date FIRST --end LAST",
        f"mlops train --model {name} --as-of LAST",
    ]
    tell_written(written, to_read=proposal.to_read, following=following, as_json=as_json)


@models.command()
@click.argument("model_id", metavar="[MODEL]", required=False)
@options.as_json
def check(model_id: str | None, as_json: bool) -> int:
    """Say of every spec whether it can be used: feature groups, feature services, labels, models.

    What is wrong is what Airflow's import error of check_specs.py would say. Of a MODEL that is named the statements of
    its groups and of its label are tried besides, on no and on made-up rows, and what a training would read is counted.
    Exit 2 where anything is wrong.
    """
    from include.views.specs import check_specs

    verdicts = check_specs()
    # What is wrong with the overlay's folder is wrong with each model.
    wrong = list(dict.fromkeys(said for verdict in verdicts for said in verdict.violations))
    told = [f"{verdict.kind:<16} {verdict.name}" for verdict in verdicts]
    if model_id is not None:
        wrong, told = _check_model(model_id)
    if as_json:
        click.echo(json.dumps({"ok": not wrong, "specs": [asdict(verdict) for verdict in verdicts], "told": told}))
    else:
        for said in wrong or told:
            click.echo(said, err=bool(wrong))
    return 2 if wrong else 0


def _check_model(model_id: str) -> tuple[list[str], list[str]]:
    """Return what is wrong with one model, and what is told of it."""
    from include.cli.deployment import open_deployment
    from include.specs.deployed import load_specs
    from include.specs.models import load_model

    specs = load_specs()
    if found := [violation.message for violation in specs.violations_of("model", model_id)]:
        return found, []
    spec = load_model(model_id)
    from include.steps.check_model import check_model

    checked = check_model(open_deployment(), spec, as_of=datetime.now(UTC))
    return list(checked.wrong), [f"{model_id}: everything that it names is there", *checked.told]
