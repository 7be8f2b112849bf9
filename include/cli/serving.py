"""`mlops serving`: what belongs to the online service beside running it.

What belongs here: what is printed, and the exit code. What does not: keys and windows themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.settings import home_from_env


@click.group()
def serving() -> None:
    """Look after the online service."""


@serving.command()
@options.model
@options.past_day("--date", "partition", required=True, help="The UTC day.")
@options.as_json
def windows(model_id: str, partition: str, as_json: bool) -> None:
    """Show what a model's versions answered on a day, of all processes together.

    A latency is the upper bound of where it lies, at most an eighth too high. A minute is there once it is over.
    """
    from include.views.serving_windows import read_served_day

    served = read_served_day(open_deployment(), model_id, partition)
    if as_json:
        click.echo(json.dumps(asdict(served), default=str))
        return
    for line in served.day:
        marks = {"p50": line.p50_ms, "p95": line.p95_ms, "p99": line.p99_ms}
        latency = "  ".join(f"{name} {mark:g} ms" for name, mark in marks.items() if mark is not None)
        errors = ", ".join(f"{count} x {status}" for status, count in line.errors.items()) or "no errors"
        who = f"version {line.model_version}, {line.role}" if line.model_version else "no version"
        click.echo(f"{who}: {line.requests:,d} requests, {line.rows:,d} rows, {errors}  {latency}")
    share = "" if served.log_share == 1 else f", of {served.log_share:.0%} of entities"
    click.echo(f"{served.logged:,d} rows are in the log{share}" if served.day else "nothing was answered that day")


@serving.group()
def keys() -> None:
    """Make, list and revoke API keys; from the first one on nobody asks without."""


@keys.command()
@click.argument("client")
@click.option("--model", "models", multiple=True, metavar="MODEL", help="What may be asked; again for more. All else.")
@click.option("--days", type=click.IntRange(1, 3650), help="After so many days it is not taken any more.")
@click.option("--per-second", type=click.IntRange(1, 1_000_000), default=1000, show_default=True)
@options.as_json
def add(client: str, models: tuple[str, ...], days: int | None, per_second: int, as_json: bool) -> None:
    """Make a key for CLIENT and print it: it is shown this once."""
    from include.serving.api_keys import ApiKeys
    from include.specs.models import load_model

    for model_id in models:
        load_model(model_id)
    expires_at = None if days is None else datetime.now(UTC) + timedelta(days=days)
    key, made = ApiKeys(home_from_env()).add(client, models=models, per_second=per_second, expires_at=expires_at)
    if as_json:
        click.echo(json.dumps({"key": key, "key_id": made.key_id, "client": client, "expires_at": made.expires_at}))
        return
    click.echo(key)
    click.echo(f"key {made.key_id} of {client}; it is kept as a hash only, and can't be shown again", err=True)


@keys.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the keys, without what they are."""
    from include.serving.api_keys import ApiKeys

    now, kept = datetime.now(UTC), ApiKeys(home_from_env()).all()
    told = [{**asdict(key), "state": key.tell_invalid(now) or "valid"} for key in kept]
    if as_json:
        click.echo(json.dumps({"keys": [{name: row[name] for name in row if name != "sha256"} for row in told]}))
        return
    for row in told:
        models = ", ".join(row["models"]) if row["models"] else "all models"
        click.echo(f"{row['key_id']}  {row['client']:20}  {models}  {row['per_second']}/s  {row['state']}")
    if not told:
        click.echo("there are no keys: the service answers anybody on 127.0.0.1")


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Take a key back."""
    from include.serving.api_keys import ApiKeys

    made = ApiKeys(home_from_env()).revoke(key_id)
    click.echo(f"key {made.key_id} of {made.client} is revoked")
