"""`mlops outcomes`: what became of whom a model scored.

What belongs here: options and what is printed. What does not: any reading or writing.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from include.cli import options
from include.cli.deployment import open_deployment


@click.group()
def outcomes() -> None:
    """Record and show the labels of predictions, as they become known."""


@outcomes.command()
@options.model
@options.past_day("--date", "partition", required=True, help="The night at whose end something is known.")
@options.as_json
def record(model_id: str, partition: str, as_json: bool) -> None:
    """Add what the night tells of earlier predictions; again adds nothing."""
    from include.steps.record_outcomes import record_outcomes

    told = record_outcomes(open_deployment(), model_id, partition=partition)
    if as_json:
        click.echo(json.dumps(asdict(told)))
    else:
        click.echo(f"{model_id} {partition}: {told.added} rows added about the predictions of {told.nights} nights")


@outcomes.command()
@options.model
@options.past_day("--date", "partition", required=True, help="The night at whose end it was known.")
@options.as_json
def show(model_id: str, partition: str, as_json: bool) -> None:
    """Show how many labels of each night's predictions were known, and how many days that takes."""
    from include.views.outcomes import read_outcomes

    found = read_outcomes(open_deployment(), model_id, partition=partition)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(f"{'night':<10}  {'scored':>9} {'known':>9} {'positive':>9}")
    for night in found.nights:
        click.echo(f"{night.partition:<10}  {night.scored:>9,} {night.known:>9,} {night.positives:>9,}")
    curve = found.maturity
    if curve.rows:
        click.echo(f"{'days':<10}  {'known':>9} {'of 1':>9} {'of 0':>9}   (of {curve.rows:,} whose time is over)")
    for days, share, ones, zeros in zip(curve.days, curve.share, curve.of_positives, curve.of_negatives, strict=True):
        click.echo(f"{days:<10}  {share:>9.1%} {ones:>9.1%} {zeros:>9.1%}")
    click.echo(found.told)
