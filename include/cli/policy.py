"""`mlops policy`: what a policy of retraining would have done.

What belongs here: options, the table and the picture. What does not: playing a policy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from include.cli import options
from include.cli.deployment import open_deployment
from include.cli.written import write_text
from include.errors import UsageError

if TYPE_CHECKING:
    from include.monitoring.backtest import Backtest, Costs, PlayedNight
    from include.steps.measure_days import DataSet

# Monthly, PSI on N of M, never, the best in hindsight.
_PEERS = 4
_ROW, _CELL, _LETTER = 26, 9, 8
_COLORS = {"retrain": "#0072b2", "veto": "#d55e00", "degraded": "#f0e442", "hold": "#dddddd"}


def _check_price(_context: click.Context, parameter: click.Parameter, price: float | None) -> float | None:
    if price is not None and not math.isfinite(price):
        raise UsageError(f"{parameter.opts[0]} {price} is no price; write a number, e.g. {parameter.opts[0]} 1.5")
    return price


def _check_changes(_context: click.Context, parameter: click.Parameter, changes: tuple[str, ...]) -> tuple[str, ...]:
    for change in changes:
        options.check_day(parameter, change)
    return changes


def _price_option(name: str, told: str, default: float | None = None) -> Callable[[Any], Any]:
    price = click.FloatRange(min=0)
    return click.option(name, type=price, default=default, callback=_check_price, show_default=True, help=told)


@click.group()
def policy() -> None:
    """Policies of retraining: the section `decision:` of a model's YAML."""


@policy.command("backtest")
@options.model
@options.day("--start", help="First night.  [default: the first that was measured]")
@options.day("--end", help="Last night, included.  [default: the last that was measured]")
@click.option("--policy", "files", multiple=True, type=options.PATH, help="YAML of other values of decision:. Again.")
@click.option(
    "--change",
    "changes",
    multiple=True,
    callback=_check_changes,
    metavar="YYYY-MM-DD",
    help="Something changed then. Again for more.",
)
@_price_option("--price", "Of a retrain.", 1.0)
@_price_option("--loss", "Of a day on which a shift stands that no retrain has learned.", 0.2)
@_price_option("--point-loss", "Of such a day for each 0.01 that the AUC, of a ranking NDCG, is known to have lost.")
@click.option("--unit", default="", metavar="WORD", help="What prices are in, e.g. EUR.")
@click.option("--reference", type=options.PATH, help="Play a data set: what its days are held against. Parquet or CSV.")
@click.option("--current", type=options.PATH, help="Its days, all in one file.")
@click.option("--day", metavar="COL", help="Which day a row of them is of.")
@options.column_names(
    "--columns", help="Columns A,B,… of it to measure.  [default: all numbers and text in both files]"
)
@click.option("--picture", type=options.OUT_FILE, help="Write an SVG: a row a policy, a cell a night.")
@options.as_json
def backtest(
    model_id: str,
    start: str | None,
    end: str | None,
    files: tuple[Path, ...],
    changes: tuple[str, ...],
    price: float,
    loss: float,
    point_loss: float | None,
    unit: str,
    reference: Path | None,
    current: Path | None,
    day: str | None,
    columns: list[str] | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Play a model's policy on its measured nights, beside others, and say what each had done and cost.

    A night stays as it was measured, whatever a policy had trained: a backtest tells how soon a policy notices and how
    often it acts, not how good its models had been. With --change it also tells days to detection, and false alarms: a
    retrain by drift or performance before the first change.

    With --reference, --current and --day it is played on a file of rows by their days instead, which takes no home and
    no nights: of such a file volume, missing values and drift are known, and nothing of its labels.

    Prices are a person's: what training, trying and approving a version costs, and what is lost on a day of worse
    scores. A fall of performance is counted on the nights that tell it, when labels are in.
    """
    from include import partitions
    from include.monitoring.backtest import Costs
    from include.specs.models import load_model
    from include.steps.backtest_policy import backtest_data_set, backtest_policy, read_policy

    if start is not None and end is not None:
        partitions.require_order(start, end)
    rows = _data_set(reference, current, day, columns)
    own, costs = load_model(model_id).decision, Costs(price, loss, point_loss, unit)
    play = partial(backtest_policy, open_deployment()) if rows is None else partial(backtest_data_set, rows)
    found = play(
        model_id,
        start=start,
        end=end,
        others=[(file.stem, read_policy(file, own)) for file in files],
        changes=sorted(changes),
        costs=costs,
    )
    if picture is not None:
        write_text(picture, _draw(found, unit))
    if as_json:
        click.echo(
            json.dumps({"model": model_id, "costs": asdict(costs), "policies": [asdict(each) for each in found]})
        )
        return
    for line in _lines(found, costs):
        click.echo(line)


def _data_set(
    reference: Path | None, current: Path | None, day: str | None, columns: list[str] | None
) -> DataSet | None:
    """Return the data set that options name, all of them or none."""
    from include.steps.measure_days import DataSet

    if reference is not None and current is not None and day is not None:
        return DataSet(reference, current, day, tuple(columns) if columns else None)
    if any(given is not None for given in (reference, current, day, columns)):
        raise UsageError(
            "a data set is --reference FILE --current FILE --day COL, all three; without any, stored nights"
        )
    return None


def _lines(found: Sequence[Backtest], costs: Costs) -> Iterator[str]:
    yield from _tell_nights(found[0].nights)
    yield _prices(costs)
    yield ""
    wide = max(len(each.policy) for each in found) + 2
    heads = f"{'policy':<{wide}}{'retrains':>9}{'vetoes':>8}{'degraded':>10}{'loss':>12}{'cost':>12}"
    yield f"{heads}  false alarms a year, days to detection"
    yield from (_row(each, wide) for each in found)
    for each in found[:-_PEERS]:
        for night in each.nights:
            if night.action == "retrain":
                yield f"\n{each.policy}, {night.partition}: {night.reason}"


def _row(each: Backtest, wide: int) -> str:
    vetoes = sum(night.action == "veto" for night in each.nights)
    told = [] if each.false_alarms_a_year is None else [f"{each.false_alarms_a_year:.1f}"]
    told += [f"{change}: {'never' if days is None else days}" for change, days in each.days_to_detection.items()]
    numbers = f"{len(each.retrains):>9}{vetoes:>8}{each.degraded_days:>10}{each.loss:>12,.1f}{each.cost:>12,.1f}"
    return f"{each.policy:<{wide}}{numbers}  {', '.join(told) or '-'}"


def _tell_nights(nights: Sequence[PlayedNight]) -> Iterator[str]:
    """Say which nights are played, and what no policy has a say in: holes, and versions that came in between."""
    from include import partitions
    from include.monitoring.decision_words import count

    first, last = nights[0].partition, nights[-1].partition
    days = first if first == last else f"{first} to {last}"
    holes = partitions.days_between(first, last) + 1 - len(nights)
    lacking = f"; {holes} between them {'was' if holes == 1 else 'were'} not measured" if holes else ""
    yield f"{count(len(nights), 'measured night')}, {days}{lacking}"
    spans = [list(span) for _, span in groupby(nights, key=lambda night: night.model_version)]
    if len(spans) > 1:
        told = [f"version {spans[0][0].model_version} was measured until {spans[0][-1].partition}"]
        told += [f"version {span[0].model_version} from {span[0].partition} on" for span in spans[1:]]
        yield f"{', '.join(told)}; what each had learned, every policy below has"


def _prices(costs: Costs) -> str:
    point = "" if costs.lost_point is None else f", {_told(costs.lost_point, costs.unit)} for each 0.01 of a known fall"
    retrain, day = _told(costs.retrain, costs.unit), _told(costs.degraded_day, costs.unit)
    return f"a retrain costs {retrain}, a degraded day {day}{point}"


def _told(price: float, unit: str) -> str:
    return f"{price:,.1f} {unit}".rstrip()


def _draw(found: Sequence[Backtest], unit: str) -> str:
    """Return the nights of each policy as SVG, by the calendar, and its cost; what a cell is, its title says too."""
    from html import escape

    from include import partitions

    left = 10 + _LETTER * max(len(each.policy) for each in found)
    first, last = found[0].nights[0].partition, found[0].nights[-1].partition
    right = left + _CELL * (partitions.days_between(first, last) + 1)
    rows = []
    for number, each in enumerate(found):
        top = 30 + number * _ROW
        rows.append(f'<text x="0" y="{top + 14}">{escape(each.policy)}</text>')
        rows.append(f'<text x="{right + 8}" y="{top + 14}">costs {escape(_told(each.cost, unit))}</text>')
        for night in each.nights:
            place = partitions.days_between(first, night.partition)
            kind = night.action if night.action != "hold" or not night.is_degraded else "degraded"
            title = escape(f"{night.partition}: {night.action}, {night.reason}")
            rows.append(
                f'<rect x="{left + place * _CELL}" y="{top}" width="{_CELL - 1}" height="18" fill="{_COLORS[kind]}">'
                f"<title>{title}</title></rect>"
            )
    below = 44 + _ROW * len(found)
    rows.append(f'<text x="{left}" y="{below}">{first}</text>')
    if last != first:
        rows.append(f'<text x="{max(right, left + 160)}" y="{below}" text-anchor="end">{last}</text>')
    key = "".join(
        f'<rect x="{left + n * 110}" y="4" width="12" height="12" fill="{color}"/>'
        f'<text x="{left + 18 + n * 110}" y="14">{name}</text>'
        for n, (name, color) in enumerate(_COLORS.items())
    )
    width, height = max(right + 150, 640), below + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12">{key}{"".join(rows)}</svg>\n'
    )
