"""`mlops reproduce`: make a version again, and say whether it is the same to the bit.

What belongs here: what is printed, and the exit code. What does not: making it, and the verdict.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.errors import RefusedError

if TYPE_CHECKING:
    from include.training.reproduction import Reproduction


@click.command()
@options.model
@options.version("--version", required=True, help="The registered version, wherever it stands.")
@click.option(
    "--against",
    type=click.Choice(["latest"]),
    help="Also build the set from the tables as they are today, and name the rows that are others by now.",
)
@options.as_json
def reproduce(model_id: str, version: int, against: str | None, as_json: bool) -> int:
    """Build a version's training set and model again from what is on record of it; nothing is written.

    The tables are read at the versions that the set was made from, and the spec is the one that was kept with it. Exit
    1 where the rows of the set, model.ubj or model.onnx are not the same to the bit, or a file is not what was
    registered, with the first difference and its cause.
    """
    from include.steps.reproduce_version import reproduce_version

    found = reproduce_version(open_deployment(), model_id, version=version, against_latest=against is not None)
    code = 0 if found.equal else RefusedError.exit_code
    if as_json:
        click.echo(json.dumps(_as_json(found)))
        return code
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    for line in _lines(found):
        click.echo(line)
    return code


def _lines(found: Reproduction) -> Iterator[str]:
    yield str(found)
    yield from (f"  besides: {difference}" for difference in found.differences[1:])
    if (latest := found.latest) is not None:
        yield f"as the tables are today: {latest}"
        yield from (f"  {row}" for row in latest.first_rows())


def _as_json(found: Reproduction) -> dict[str, object]:
    return {
        "model": found.model_id,
        "version": found.version,
        "set_id": found.set_id,
        "equal": found.equal,
        "training_set": asdict(found.training_set),
        "native": asdict(found.native),
        "onnx": asdict(found.onnx),
        "environment": {each.name: {"then": each.then, "now": each.now} for each in found.environment},
        "differences": found.differences,
        "notes": found.notes,
        "latest": None if found.latest is None else asdict(found.latest),
    }
