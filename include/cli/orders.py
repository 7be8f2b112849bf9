"""`mlops orders`: bring orders into the lake, or make some up.

What belongs here: arguments, and how an account is shown. What does not: the import itself, and
exit codes, which the main command gives to errors.
"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.errors import UsageError
from include.simulation.incidents import MEANINGS, parse_incident
from include.tables import ORDERS

if TYPE_CHECKING:
    from include.steps.forget_customer import Erasure
    from include.steps.generate_orders import GeneratedOrders
    from include.steps.import_source import ImportAccount


@click.group()
def orders() -> None:
    """Orders: the data that everything else is computed from."""


@orders.command("import")
@click.argument("file", type=options.PATH)
@click.option("--format", "file_format", required=True, metavar="online-retail|canonical", help="What the columns are.")
@click.option("--as-of", metavar="ISO", help="No order may be later; without a zone it is UTC. Default: now.")
@click.option(
    "--time-zone",
    default="UTC",
    show_default=True,
    help="Zone of times in the file that have none; one that the zone has twice is the later.",
)
@click.option("--check/--no-check", default=False, help="Let Great Expectations count every rule's rows again.")
@click.option("--json", "as_json", is_flag=True, help="Print the account as one JSON object.")
def import_command(file: Path, file_format: str, as_of: str | None, time_zone: str, check: bool, as_json: bool) -> None:
    """Import FILE (.parquet or .csv): publish the rows that pass the contract, set the others aside.

    Importing the same file again changes nothing. Orders that are there already are merged by
    (order_id, line), the newest received_at winning.
    """
    instant = _instant(as_of) if as_of is not None else datetime.now(UTC)
    with _progress(f"importing {file.name}"):
        from include.steps.import_source import import_file

        account = import_file(
            open_deployment(),
            file,
            file_format=file_format,
            as_of=instant,
            time_zone=time_zone,
            cross_check=check,
        )
    click.echo(json.dumps(_shown(account)) if as_json else _told(account))


def _list_incidents() -> str:
    lines = ["\b", "Incidents, with the SIZE and DAYS that they have when none are given:"]
    for kind, meaning in MEANINGS.items():
        size = f"*{meaning.size:g}" if meaning.size is not None else ""
        after = f"+{meaning.after_days}" if meaning.after_days else ""
        told = f"{meaning.told}; {meaning.mended}" if meaning.mended else meaning.told
        lines.append(f"  {kind}@DATE{after}{size}".ljust(32) + told)
    return "\n".join(lines)


@orders.command("generate", epilog=_list_incidents())
@click.option("--out", required=True, type=options.PATH, help="A folder that is not there yet.")
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0), help="The same seed, the same bytes.")
@options.day("--start", default="2024-04-13", show_default=True, help="The shop opens.")
@options.day("--end", default="2026-03-30", show_default=True, help="The last day, included.")
@click.option("--nights", default=0, show_default=True, type=click.IntRange(0), help="Days that arrive one by one.")
@click.option(
    "--orders", "wanted", type=click.IntRange(1, 100_000_000), help="About so many orders. Default: ten arrivals a day."
)
@click.option(
    "--incident", "incidents", multiple=True, metavar="KIND@DATE[+DAYS][*SIZE]", help="See below; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON object.")
def generate_command(
    out: Path,
    seed: int,
    start: str,
    end: str,
    nights: int,
    wanted: int | None,
    incidents: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the orders of a simulated shop, in the canonical format.

    OUT/history.parquet holds every line before the nights, OUT/arrivals/NIGHT/ what reaches the landing
    folder on each night, OUT/truth/ what nobody in a real shop knows: who has left, and how likely each order
    was to be disputed.
    """
    from dataclasses import replace

    from include.partitions import parse, span
    from include.simulation.world import World, expected_orders
    from include.steps.generate_orders import generate_orders

    world = World()
    if wanted is not None:
        season = [world.season(parse(day)) for day in span(start, end)]
        # Six digits: the last one of a power differs from CPU to CPU, and the bytes shall not.
        world = replace(world, arrivals_per_day=float(f"{wanted / expected_orders(world, season):.6g}"))
    parsed = [parse_incident(text) for text in incidents]
    with _progress(f"simulating {start} to {end}"):
        made = generate_orders(out, seed=seed, start=start, end=end, nights=nights, incidents=parsed, world=world)
    click.echo(json.dumps(asdict(made), default=str) if as_json else _told_generated(made, out))


def _check_customer(_context: click.Context, _parameter: click.Parameter, customer_id: str) -> str:
    if not customer_id.strip():
        raise UsageError(f"CUSTOMER_ID={customer_id!r} names nobody; customer ids are strings, e.g. 17850")
    return customer_id


@orders.command("forget")
@click.argument("customer_id", callback=_check_customer)
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as one JSON object.")
def forget_command(customer_id: str, as_json: bool) -> None:
    """Erase the customer CUSTOMER_ID from every table of the lake and from the online store.

    What is pinned by a training set still holds the person; it is listed, with the day on which it may go.
    """
    with _progress(f"erasing {customer_id}"):
        from include.steps.forget_customer import forget_customer

        erased = forget_customer(open_deployment(), customer_id, today=datetime.now(UTC).date())
    click.echo(json.dumps(asdict(erased), default=str) if as_json else _told_erasure(erased))


def _told_erasure(erased: Erasure) -> str:
    lines = [f"{count:>10,} rows of {table}" for table, count in erased.rows.items()]
    lines += [f"{count:>10,} online in {view}" for view, count in erased.online.items()]
    lines = [f"removed of customer {erased.customer_id}:", *(lines or ["   nothing: it was done before"])]
    for pin in erased.pins:
        until = f"until {pin.expires}" if pin.expires else f"while version {pin.held_by} may serve"
        tables = ", ".join(f"{table} version {version}" for table, version in pin.sources.items())
        lines.append(f"still held {until} by training set {pin.model_id}/{pin.set_id}, which pins {tables}")
    lines += [f"not looked into: {table}, which no spec names; is it needed?" for table in erased.unnamed]
    lines.append(
        f"replaced rows that nothing pins are in old files until {erased.unpinned_until}; from then on "
        "mlops lake expire removes them"
    )
    lines.append("deliveries in the landing folder are the sender's: taken again, they bring the customer back")
    return "\n".join(lines)


def _told_generated(made: GeneratedOrders, out: Path) -> str:
    lines = [f"{made.orders:,} orders of {made.customers:,} customers, {made.lines:,} lines, in {out}"]
    if made.history is not None:
        lines.append(f"history {made.first} to {made.history_end}: {made.history.name}")
    if made.nights:
        lines.append(
            f"nights {made.nights[0]} to {made.nights[-1]}: arrivals/NIGHT, to be copied to the landing folder"
        )
    lines += [f"{day}: {what}" for day, what in made.happened.items()]
    return "\n".join(lines)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as err:
        raise UsageError(f"--as-of {text!r} is not a time; write e.g. 2011-12-10 or 2011-12-10T00:00:00Z") from err
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _progress(what: str) -> AbstractContextManager[object]:
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)


def _shown(account: ImportAccount) -> dict[str, object]:
    names = (
        "rows_in", "rows_published", "rows_quarantined", "rules", "zero_price", "partitions", "first", "last",
        "rows_added", "rows_replaced", "rows_unchanged", "rows_stale", "rows_conflicting", "time_zone", "version",
    )  # fmt: skip
    return {name: getattr(account, name) for name in names}


def _told(account: ImportAccount) -> str:
    lines = [
        f"{account.rows_in:>10,} rows in; times without a zone read in {account.time_zone}",
        f"{account.rows_published:>10,} published ({account.rows_added:,} new, {account.rows_replaced:,} replacing, "
        f"{account.rows_unchanged:,} unchanged, {account.rows_stale:,} older, "
        f"{account.rows_conflicting:,} conflicting; {account.zero_price:,} of zero price)",
        f"{account.rows_quarantined:>10,} quarantined",
    ]
    lines += [f"{count:>10,}   {rule}" for rule, count in account.rules.items() if count]
    days = f"{account.partitions:,} days, {account.first} to {account.last}" if account.partitions else "no day"
    return "\n".join([*lines, f"{days}; {ORDERS.name} is at version {account.version}"])
