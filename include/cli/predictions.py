"""`mlops predictions`: a night's scores, taken out of the lake.

What belongs here: options and the printed line. What does not: any reading or writing.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlparse

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.errors import UsageError


def _as_address(_context: click.Context, _parameter: click.Parameter, out: str) -> str:
    if not out.strip():
        raise UsageError(f"--out={out!r} names no folder; write one, or its address: file://… or s3://…")
    if out.startswith("s3://") and not urlparse(out).netloc:
        raise UsageError(f"--out={out!r} names no bucket; write s3://BUCKET/FOLDER")
    if out.startswith("file://") and (host := urlparse(out).netloc):
        raise UsageError(f"--out={out!r} is no absolute path; write file:///{host}{urlparse(out).path}, or its parent")
    if out.startswith(("file://", "s3://")):
        return out
    if "://" in out:
        raise UsageError(f"--out={out!r} can't be written; write a folder, or an address that is file://… or s3://…")
    return Path(out).absolute().as_uri()


@click.group()
def predictions() -> None:
    """Export scores."""


@predictions.command()
@options.model
@options.past_day("--date", "partition", required=True, help="The partition.")
@click.option(
    "--out", required=True, callback=_as_address, metavar="FOLDER", help="A folder, or its address: file://… or s3://…"
)
@options.as_json
def export(model_id: str, partition: str, out: str, as_json: bool) -> None:
    """Write the scores of one partition as plain parquet to FOLDER/predictions/MODEL/YYYY-MM-DD/.

    The folder is whole where it has a file _SUCCESS. The same scores again leave it as it is.
    """
    from include.steps.export_predictions import export_predictions

    exported = export_predictions(open_deployment(), model_id, partition=partition, out=out)
    if as_json:
        click.echo(json.dumps(asdict(exported)))
    else:
        click.echo(f"{model_id} {partition}: {exported.rows} rows in {exported.uri}")
