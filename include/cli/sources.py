"""`mlops sources`: bring a source's files into the lake.

What belongs here: what changes the lake: arguments, and how an account is shown. What does not: the import itself, what
tells of sources and their files (``describe_sources``), and exit codes, which the main command gives to errors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.cli.describe_sources import check_command, list_command, new_command, show_command
from include.cli.progress import progress
from include.errors import UsageError

if TYPE_CHECKING:
    from include.specs.sources import SourceSpec
    from include.steps.account_source import ImportAccount
    from include.steps.forget_person import Erasure


_Command: TypeAlias = Callable[..., Any]


@click.group()
def sources() -> None:
    """Bring in the tables that everything else is computed from."""


for _command in (list_command, show_command, check_command, new_command):
    sources.add_command(_command)


# What an import takes beside the source, in the order of its help.
_OF_AN_IMPORT: tuple[Callable[[_Command], _Command], ...] = (
    click.argument("file", type=options.PATH),
    options.file_format,
    options.as_of,
    options.time_zone,
    options.day(
        "--history-until", default=None, help="The last day that has arrived by the file. Default: by its rows."
    ),
    click.option("--check/--no-check", default=False, help="Let Great Expectations count every rule's rows again."),
    options.as_json,
)


def _takes_a_file(command: _Command) -> _Command:
    for option in reversed(_OF_AN_IMPORT):
        command = option(command)
    return command


@sources.command("import")
@click.argument("source")
@_takes_a_file
def import_command(source: str, file: Path, **given: object) -> None:
    """Import FILE of SOURCE: publish the rows that pass its rules, set the others aside.

    Importing the same file again changes nothing. Rows that are there already are merged by the source's key, the
    newest received_at winning.
    """
    _import(source, file, **given)  # type: ignore[arg-type]


def import_command_of(source: str) -> click.Command:
    """Return `import` of one source: its short form."""

    @click.command("import")
    @_takes_a_file
    def command(file: Path, **given: object) -> None:
        _import(source, file, **given)  # type: ignore[arg-type]

    command.help = f"Import FILE of {source}: the short form of mlops sources import {source} FILE."
    return command


def _import(
    source: str,
    file: Path,
    *,
    file_format: str | None,
    as_of: datetime | None,
    time_zone: str | None,
    history_until: str | None,
    check: bool,
    as_json: bool,
) -> None:
    options.require_specs()
    with progress(f"importing {file.name}"):
        from include.specs.source_formats import CANONICAL
        from include.specs.sources import load_source
        from include.steps.import_source import import_file

        account = import_file(
            open_deployment(),
            file,
            source=source,
            file_format=file_format or CANONICAL,
            as_of=as_of or datetime.now(UTC),
            time_zone=time_zone,
            history_until=history_until,
            cross_check=check,
        )
    click.echo(json.dumps(_shown(account)) if as_json else _told(account, load_source(source)))


@sources.command("forget")
@click.argument("source")
@click.argument("person_id")
@options.as_json
def forget_command(source: str, person_id: str, as_json: bool) -> None:
    """Erase a person, as SOURCE names one, from every table of the lake and from the online store.

    What is pinned by a training set still holds the person; it is listed, with the day on which it may go.
    """
    _forget(source, person_id, as_json=as_json)


def forget_command_of(source: str) -> click.Command:
    """Return `forget` of one source: its short form."""

    @click.command("forget")
    @click.argument("person_id")
    @options.as_json
    def command(person_id: str, as_json: bool) -> None:
        _forget(source, person_id, as_json=as_json)

    command.help = f"Erase a person: the short form of mlops sources forget {source} PERSON_ID."
    return command


def _forget(source: str, person_id: str, *, as_json: bool) -> None:
    if not person_id.strip():
        raise UsageError(f"PERSON_ID={person_id!r} names nobody; ids are strings, e.g. 17850")
    with progress(f"erasing {person_id}"):
        from include.specs.sources import load_source
        from include.steps.forget_person import forget_person

        erased = forget_person(open_deployment(), person_id, source=load_source(source), today=datetime.now(UTC).date())
    click.echo(json.dumps(asdict(erased), default=str) if as_json else _told_erasure(erased))


def _told_erasure(erased: Erasure) -> str:
    lines = [f"{count:>10,} rows of {table}" for table, count in erased.rows.items()]
    lines += [f"{count:>10,} online in {view}" for view, count in erased.online.items()]
    lines = [f"removed of {erased.person_id}:", *(lines or ["   nothing: it was done before"])]
    for pin in erased.pins:
        until = f"until {pin.expires}" if pin.expires else f"while version {pin.held_by} may serve"
        tables = ", ".join(f"{table} version {version}" for table, version in pin.sources.items())
        lines.append(f"still held {until} by training set {pin.model_id}/{pin.set_id}, which pins {tables}")
    lines += [f"not looked into: {table}, which no spec names; is it needed?" for table in erased.unnamed]
    lines.append(
        f"replaced rows that nothing pins are in old files until {erased.unpinned_until}; from then on "
        "mlops lake expire removes them"
    )
    lines.append("deliveries in the landing folder are the sender's: taken again, they bring the person back")
    return "\n".join(lines)


def _shown(account: ImportAccount) -> dict[str, object]:
    return {**asdict(account), "rows_in_table": account.rows_published}


def _told(account: ImportAccount, spec: SourceSpec) -> str:
    counted = "".join(f"; {count:,} of {name.replace('_', ' ')}" for name, count in account.counted.items())
    lines = [
        f"{account.rows_in:>10,} rows in; times without a zone read in {account.time_zone}",
        f"{account.rows_published:>10,} published, and in the table ({account.added:,} new, {account.replaced:,} "
        f"replacing, {account.unchanged:,} unchanged{counted})",
        f"{account.rows_quarantined:>10,} quarantined",
    ]
    lines += [f"{count:>10,}   {rule}" for rule, count in account.rules.items() if count]
    if account.rejected_corrections:
        lines.append(f"{account.rejected_corrections:>10,}   of them of a key that the table has: it keeps its row")
    lines += _told_values(account)
    days = f"{account.partitions:,} days, {account.first} to {account.last}" if account.partitions else "no day"
    if account.last_night is not None and account.arrived_until != account.last_night:
        until = account.arrived_until
        days += "; none of them has arrived" if until is None else f"; they have arrived until {until}"
        days += (
            " (later rows are few, or of a day that was not over; "
            f"--history-until {account.last_night} if those days are whole)"
        )
    return "\n".join([*lines, f"{days}; {spec.raw.name} is at version {account.version}"])


def _told_values(account: ImportAccount) -> list[str]:
    lines = [f"{count:>10,}   values of {name} had blanks at their ends" for name, count in account.trimmed.items()]
    lines += [f"{count:>10,}   values of {name} were words for nothing" for name, count in account.null_words.items()]
    if account.left_out:
        lines.append(f"           columns that can't be shown were left out: {', '.join(account.left_out)}")
    return lines
