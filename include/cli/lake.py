"""`mlops lake`: what the tables keep of their past.

What belongs here: options and what is printed. What does not: which version is pinned.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from include.cli import options
from include.cli.deployment import open_deployment


@click.group()
def lake() -> None:
    """Show and let go what the lake's tables keep of their past."""


@lake.command()
@click.option("--json", "as_json", is_flag=True, help="Print the pins as one JSON object.")
def pins(as_json: bool) -> None:
    """List the training sets, the versions of tables that they pin, and the day on which each may go."""
    from include.steps.expire_history import list_pins

    found = list_pins(open_deployment())
    if as_json:
        click.echo(json.dumps({"pins": [asdict(pin) for pin in found]}, default=str))
        return
    for pin in found:
        tables = ", ".join(f"{table} version {version}" for table, version in pin.sources.items())
        until = f"until {pin.expires}" if pin.expires else f"while version {pin.held_by} may serve"
        click.echo(f"{pin.model_id}/{pin.set_id} {until}: {tables}")


@lake.command()
@options.past_day("--as-of", help="The day by which something has expired. Default: today.")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as one JSON object.")
def expire(as_of: str | None, as_json: bool) -> None:
    """Remove training sets, logged rows and reports that have expired, and files of versions that nothing pins."""
    from include.steps.expire_history import expire_history

    removed = expire_history(open_deployment(), as_of=as_of or datetime.now(UTC).date().isoformat())
    if as_json:
        click.echo(json.dumps(asdict(removed)))
        return
    click.echo(f"{len(removed.training_sets)} training sets removed{''.join(f', {s}' for s in removed.training_sets)}")
    for table, rows in removed.rows.items():
        if rows:
            click.echo(f"{rows:>10,} rows of {table}")
    for group, reports in removed.reports.items():
        if reports:
            click.echo(f"{reports:>10,} quality reports of {group}")
    for table, files in removed.files.items():
        click.echo(f"{files:>10,} files of {table}")
