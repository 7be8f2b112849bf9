"""What arrives of a day, and on which night: the way from the shop to the landing folder, and what goes wrong on it.

What belongs here: splitting a day's true lines over files that arrive, wrong, late or twice. What does not:
writing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include import partitions
from include.errors import UsageError
from include.simulation.baskets import INSTANT
from include.simulation.incidents import Incident
from include.simulation.shop import ShopDay

ORDERS_FILE = "orders"
RENAMED = ("customer_id", "customer")

# A row that was entered wrongly: one piece more, at half as much again.
_WRONG_PRICE = 1.5


@dataclass(frozen=True)
class Arrival:
    """A file that arrives.

    Attributes
    ----------
    night : str
        The night on which it arrives.
    day : str
        Whose folder it is put into.
    name : str
        The file's name, without an extension; one that is there is replaced.
    rows : pyarrow.Table
        As `ORDER_LINES`, but for a renamed column.
    """

    night: str
    day: str
    name: str
    rows: pa.Table


def check_incidents(incidents: Sequence[Incident], *, start: str, end: str, nights: Sequence[str]) -> None:
    """Check that every incident lies where it can happen.

    Raises
    ------
    UsageError
        If one lies outside the shop's days, a delivery's incident outside `nights`, what it brings later after
        the last of them, or two deliveries' incidents are on one day.
    """
    taken: dict[str, Incident] = {}
    for incident in incidents:
        if not start <= incident.day <= end:
            raise UsageError(f"incident {incident.kind}@{incident.day} is outside the shop's days {start} … {end}")
        if incident.lasts:
            continue
        _require_nights(incident, nights)
        if incident.day in taken:
            raise UsageError(
                f"{incident.day} has two incidents, {taken[incident.day].kind} and {incident.kind}; keep one"
            )
        taken[incident.day] = incident
    for incident in taken.values():
        met = taken.get(partitions.shift(incident.day, incident.after_days))
        # Whatever arrives in a night's folder marks it as complete: the night would pass for one without orders.
        if incident.kind not in ("missing_day", "renamed_column") and met and met.kind == "missing_day":
            raise UsageError(
                f"incident {incident.kind}@{incident.day}+{incident.after_days} brings rows in the delivery of "
                f"{met.day}, which is a missing_day; choose another day or other DAYS for one of them"
            )


def _require_nights(incident: Incident, nights: Sequence[str]) -> None:
    """Require a delivery's incident to begin and end on nights that are delivered."""
    if incident.day not in nights:
        span = f"{nights[0]} … {nights[-1]}" if nights else "none; ask for some with --nights"
        raise UsageError(f"incident {incident.kind}@{incident.day} is not on a night that is delivered: {span}")
    later = partitions.shift(incident.day, incident.after_days)
    if later > nights[-1]:
        raise UsageError(
            f"incident {incident.kind}@{incident.day}+{incident.after_days} ends on {later}, after the last "
            f"night {nights[-1]}; choose fewer DAYS, an earlier day or a later --end"
        )


def arrivals_of(day: ShopDay, incident: Incident | None, rng: np.random.Generator) -> tuple[Arrival, ...]:
    """Return the files that arrive of a day, the first night's first.

    Parameters
    ----------
    day : ShopDay
        What really happened.
    incident : Incident or None
        What goes wrong with its delivery.
    rng : numpy.random.Generator
        Chooses the rows that are concerned.
    """
    if incident is None:
        return (Arrival(day.day, day.day, ORDERS_FILE, day.lines),)
    later = partitions.shift(day.day, incident.after_days)
    chosen = _choose(day.lines.num_rows, incident, rng)
    match incident.kind:
        case "missing_day":
            return (Arrival(later, day.day, ORDERS_FILE, day.lines),)
        case "double_delivery":
            name = f"again-{day.day}"
            return (Arrival(day.day, day.day, ORDERS_FILE, day.lines), Arrival(later, later, name, day.lines))
        case "renamed_column":
            renamed = day.lines.rename_columns([dict([RENAMED]).get(name, name) for name in day.lines.column_names])
            mended = (Arrival(later, day.day, ORDERS_FILE, day.lines),) if incident.after_days else ()
            return (Arrival(day.day, day.day, ORDERS_FILE, renamed), *mended)
        case "late_rows":
            on_time = day.lines.filter(pa.array(~chosen))
            return (Arrival(day.day, day.day, ORDERS_FILE, on_time), _later(day, chosen, later, "late"))
        case _:
            wrong = _made_wrong(day.lines, chosen, incident)
            mended = (_later(day, chosen, later, "corrected"),) if incident.after_days else ()
            return (Arrival(day.day, day.day, ORDERS_FILE, wrong), *mended)


def _choose(rows: int, incident: Incident, rng: np.random.Generator) -> NDArray[np.bool_]:
    if incident.kind == "unit_error":
        return np.ones(rows, dtype=bool)
    return np.asarray(rng.random(rows) < incident.size)


def _made_wrong(lines: pa.Table, chosen: NDArray[np.bool_], incident: Incident) -> pa.Table:
    mask = pa.array(chosen)
    if incident.kind == "missing_customers":
        return _with(lines, "customer_id", pc.if_else(mask, pa.scalar(None, pa.string()), lines["customer_id"]))
    factor = incident.size if incident.kind == "unit_error" else _WRONG_PRICE
    wrong = _with(lines, "unit_price", pc.if_else(mask, pc.multiply(lines["unit_price"], factor), lines["unit_price"]))
    if incident.kind == "corrections":
        step = pc.if_else(pc.less(lines["quantity"], 0), -1, 1)
        wrong = _with(wrong, "quantity", pc.if_else(mask, pc.add(lines["quantity"], step), lines["quantity"]))
    return wrong


def _later(day: ShopDay, chosen: NDArray[np.bool_], night: str, what: str) -> Arrival:
    rows = day.lines.filter(pa.array(chosen))
    received = pa.array([partitions.end_of(night)] * rows.num_rows, INSTANT)
    return Arrival(night, night, f"{what}-{day.day}", _with(rows, "received_at", received))


def _with(lines: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return lines.set_column(lines.column_names.index(name), name, values)
