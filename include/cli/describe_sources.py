"""`mlops sources list|show|check|new`: what sources there are, and what one would be for a file.

What belongs here: arguments, and what is printed. What does not: what changes the lake (``sources``), what is
shown, which is a view's, and what is proposed.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.cli.progress import progress
from include.cli.written import tell_written
from include.errors import UsageError

if TYPE_CHECKING:
    from include.specs.sources import SourceSpec
    from include.steps.check_source import FileCheck
    from include.steps.propose_source import Proposal


@click.command("list")
@options.as_json
def list_command(as_json: bool) -> None:
    """List the sources of this deployment that can be used."""
    from include.views.sources import list_sources

    found = list_sources()
    if as_json:
        click.echo(json.dumps({"sources": [asdict(line) for line in found]}))
        return
    rows = [("source", "key", "event time", "formats", "dag", "read by")]
    rows += [
        (s.source, ", ".join(s.key), s.event_time, ", ".join(s.formats), s.dag, ", ".join(s.groups)) for s in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@click.command("show")
@click.argument("source")
@options.as_json
def show_command(source: str, as_json: bool) -> None:
    """Print a source's spec as it holds here: with the overlay laid over it."""
    from include.views.sources import view_source, write_source

    view = view_source(source)
    if as_json:
        click.echo(json.dumps({**asdict(view), "files": [str(path) for path in view.files]}, default=str))
        return
    click.echo(write_source(view))


@click.command("check")
@click.argument("words", metavar="[SOURCE] FILE", nargs=-1)
@options.file_format
@options.as_of
@options.time_zone
@options.as_json
def check_command(
    words: tuple[str, ...], file_format: str | None, as_of: datetime | None, time_zone: str | None, as_json: bool
) -> None:
    """Say what an import of FILE would take and set aside, with the first rows of each rule; nothing is written.

    Without SOURCE: how the file seems to be written, and a YAML to start a source from.
    """
    source, file = _source_and_file(words)
    with progress(f"looking at {file.name}"):
        from include.specs.source_formats import CANONICAL
        from include.specs.sources import SourceSpec, load_source
        from include.specs.yaml_files import validated
        from include.steps.check_source import check_file
        from include.steps.propose_source import propose_source

        engine = open_deployment().duckdb
        proposal = None
        if source is None:
            proposal = propose_source(file, _name_of(file), engine)
            spec, chosen = validated(SourceSpec, dict(proposal.values), file), file_format or proposal.file_format
        else:
            spec, chosen = load_source(source), file_format or CANONICAL
        check = check_file(
            file, spec, file_format=chosen, as_of=as_of or datetime.now(UTC), time_zone=time_zone, engine=engine
        )
    _show_check(check, spec, proposal, file, as_json=as_json)


def _show_check(check: FileCheck, spec: SourceSpec, proposal: Proposal | None, file: Path, *, as_json: bool) -> None:
    from include.steps.write_source import proposal_text
    from include.views.sources import tell_check, tell_guess

    if as_json:
        guessed = {"guess": asdict(proposal.guess), "yaml": proposal.values} if proposal is not None else {}
        click.echo(json.dumps({"source": spec.source, "check": asdict(check), **guessed}, default=str))
        return
    if proposal is not None:
        click.echo(f"{file.name} {tell_guess(proposal)}\n\n{proposal_text(proposal, file=str(file))}")
    click.echo(tell_check(check, spec))


def _source_and_file(words: tuple[str, ...]) -> tuple[str | None, Path]:
    if not 1 <= len(words) <= 2:
        raise UsageError("name a file, or a source and a file: mlops sources check [SOURCE] FILE")
    if not words[-1]:
        raise UsageError("FILE='' names no file; mlops sources check [SOURCE] FILE")
    return (words[0] if len(words) == 2 else None), Path(words[-1])


def _name_of(file: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", file.name.partition(".")[0].lower()).strip("_")
    return name if re.match("[a-z]", name) else f"source_{name}"


@click.command("new")
@click.argument("name")
@click.option("--from", "file", required=True, type=options.PATH, help="A file as the source's are.")
@click.option("--for", "source", metavar="SOURCE", help="Make NAME a format of this source, not a source of its own.")
@options.as_json
def new_command(name: str, file: Path, source: str | None, as_json: bool) -> None:
    """Write the YAML of a source NAME whose files are as FILE is, for you to read and correct.

    It is written into the overlay that MLOPS_SPECS names, or among the sources that ship. With --for it is a format of
    a source that is there: laid over it in the overlay, beside values for a log that nobody has measured.
    """
    with progress(f"looking at {file.name}"):
        from include.specs.source_formats import CANONICAL
        from include.specs.sources import load_source
        from include.steps.propose_format import propose_format
        from include.steps.propose_source import propose_source
        from include.steps.write_source import require_new_source, write_format, write_source

        if source is not None:
            proposal = propose_format(file, name, load_source(source))
            written = write_format(proposal, file=str(file))
        else:
            require_new_source(name)
            proposal = propose_source(file, name, open_deployment().duckdb)
            written = write_source(proposal, file=str(file))
    by = f" --format {proposal.file_format}" if proposal.file_format != CANONICAL else ""
    following = [
        f"mlops sources check {proposal.source} {file}{by}",
        f"mlops sources import {proposal.source} {file}{by}",
        "mlops models check" if source is None else f"mlops demo --orders {file}{by}",
    ]
    tell_written(written, to_read=proposal.to_read, following=following, as_json=as_json)
