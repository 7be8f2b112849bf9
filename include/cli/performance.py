"""`mlops performance`: what scores are worth.

What belongs here: options and what is printed. What does not: any measuring.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from include.cli import options
from include.cli.deployment import open_deployment


@click.group()
def performance() -> None:
    """Show what scores were worth, and estimate it before their labels are known."""


@performance.command()
@options.model
@options.past_day("--date", "partition", required=True, help="The night at whose end something is known.")
@options.as_json
def show(model_id: str, partition: str, as_json: bool) -> None:
    """Show what is known at the end of a night, and what is estimated of the night's own scores."""
    from include.views.performance import read_performance

    found = read_performance(open_deployment(), model_id, partition=partition)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    wide = max([len(check.name) for check in found.checks], default=0)
    for check in found.checks:
        value = "-" if check.value is None else f"{check.value:.3f}"
        ends = "" if check.low is None or check.high is None else f" [{check.low:.3f}, {check.high:.3f}]"
        click.echo(f"{check.name:<{wide}} {check.verdict:<8} {value}{ends}  {check.reason or ''}")
        for cause in check.causes:
            click.echo(f"{'':<{wide}} - {cause}")
    click.echo(found.told)


@performance.command()
@click.option("--reference", required=True, type=options.PATH, help="Parquet or CSV file with scores and labels.")
@click.option("--current", required=True, type=options.PATH, help="Parquet or CSV file with scores.")
@click.option("--score", required=True, metavar="COL", help="The score.")
@click.option("--label", required=True, metavar="COL", help="What happened, 0 or 1; the current file may lack it.")
@options.column_names(
    "--features", metavar="A,B", help="Columns of numbers to correct by.  [default: all in both files]"
)
@click.option(
    "--entity", metavar="COL", help="Whom a row is about; the current file may lack it.  [default: each row is its own]"
)
@options.as_json
def estimate(
    reference: Path,
    current: Path,
    score: str,
    label: str,
    features: list[str] | None,
    entity: str | None,
    as_json: bool,
) -> None:
    """Estimate the AUC of the current file's scores, by confidence and corrected for covariate shift.

    It can't see concept drift: that the same features now mean another chance is what labels alone show.
    """
    from include.steps.estimate_performance import estimate_performance

    found = estimate_performance(reference, current, score=score, label=label, features=features, entity=entity)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, allow_nan=False))
        return
    estimated, told = found.estimated, found.to_json()
    by = f"corrected by {', '.join(found.features)}" if estimated.is_corrected else "by confidence alone"
    click.echo(
        f"AUC of {found.current_rows:,} rows: {estimated.value:.3f} [{estimated.low:.3f}, {estimated.high:.3f}], {by}"
    )
    if estimated.is_corrected:
        click.echo(f"uncorrected: {estimated.uncorrected:.3f}")
    if found.realised is not None:
        click.echo(f"realised: {found.realised:.3f}")
    held = found.back_test
    if held.windows:
        click.echo(f"on the reference {held.within} of {held.windows} such estimates held")
    click.echo(told["caveat"])
