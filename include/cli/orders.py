"""`mlops orders`: the short form of `mlops sources` for orders, and the simulator that makes some up.

What belongs here: arguments, and how what was made is shown. What does not: exit codes, which the main command gives to
errors.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from include.cli import options
from include.cli.progress import progress
from include.cli.sources import forget_command_of, import_command_of
from include.simulation.incidents import MEANINGS, parse_incident

if TYPE_CHECKING:
    from include.steps.generate_orders import GeneratedOrders

SOURCE = "orders"


@click.group()
def orders() -> None:
    """Orders: the data that everything else is computed from."""


orders.add_command(import_command_of(SOURCE))
orders.add_command(forget_command_of(SOURCE))


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
    with progress(f"simulating {start} to {end}"):
        made = generate_orders(out, seed=seed, start=start, end=end, nights=nights, incidents=parsed, world=world)
    click.echo(json.dumps(asdict(made), default=str) if as_json else _told_generated(made, out))


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
