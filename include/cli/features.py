"""`mlops features`: build partitions of a feature group, and take one out as a file.

What belongs here: options and the printed line. What does not: any computing.
"""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def features() -> None:
    """Build and export feature partitions."""


@features.command()
@click.option("--group", required=True, help="Feature group, e.g. customer_daily.")
@click.option("--date", "start", required=True, help="Partition, YYYY-MM-DD; the first of a range with --end.")
@click.option("--end", help="Last partition, included.")
def build(group: str, start: str, end: str | None) -> None:
    """Compute partitions from raw orders, check them and publish them in one commit.

    One night is built with the earlier ones that its delivery brought late rows for.
    """
    from include.adapters.deployment import Deployment
    from include.steps.build_features import build_features, build_night

    deployment = Deployment.from_env()
    if end is None:
        built = build_night(deployment, group, partition=start)
    else:
        built = build_features(deployment, group, start=start, end=end)
    click.echo(f"{group} {built.start} … {built.end}: {built.rows} rows, version {built.version}")


@features.command()
@click.option("--group", required=True, help="Feature group, e.g. customer_daily.")
@click.option("--date", "partition", required=True, help="Partition, YYYY-MM-DD.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write: .parquet or .csv."
)
def export(group: str, partition: str, out: Path) -> None:
    """Write one partition to a file."""
    from include.adapters.deployment import Deployment
    from include.steps.export_features import export_features

    exported = export_features(Deployment.from_env(), group, partition=partition, path=out)
    click.echo(f"{group} {partition}: {exported.rows} rows in {out}")
