"""Erase a customer: from orders, features, predictions and online rows, and say what still holds the person.

What belongs here: where a customer's rows are, and removing them once. What does not: what a pin is.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.training_sets import read_training_set
from include.errors import MlopsError, UsageError
from include.quality.order_formats import normal_key
from include.specs.groups import FeatureGroupSpec, load_feature_groups
from include.steps.expire_history import Pin, list_pins
from include.steps.find_tables import find_tables
from include.tables import ORDERS, QUARANTINE

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

_ORDERS, _QUARANTINE = ORDERS.name, QUARANTINE.name
_CUSTOMER, _ORDER = "customer_id", "order_id"


@dataclass(frozen=True)
class Erasure:
    """What was removed, and what still holds the person.

    Attributes
    ----------
    customer_id : str
    rows : dict of str to int
        Rows removed, by table; only tables that held some.
    online : dict of str to int
        Entities removed from the online store, by feature view.
    pins : list of Pin
        Training sets that hold the person, or pin a version of a table that does.
    unpinned_until : date
        Replaced rows that nothing pins are in the tables' old files until this day, and are removed by the
        next ``mlops lake expire`` from then on.
    """

    customer_id: str
    rows: dict[str, int]
    online: dict[str, int]
    pins: list[Pin] = field(default_factory=list)
    unpinned_until: date = date.max


def forget_customer(deployment: Deployment, customer_id: str, *, today: date) -> Erasure:
    """Remove every row of a customer; again removes nothing, or what a run that stopped has left.

    Aggregates over many customers (``product_daily``) stay as they are until a correction has one of their days
    built anew. Deliveries in the landing folder are the sender's and are not touched: taken again, they bring
    the customer back.

    Parameters
    ----------
    deployment : Deployment
        Its lake, online store and state are written.
    customer_id : str
        The customer.
    today : date
        From which the retention of replaced rows counts.

    Raises
    ------
    UsageError
        If no table and no online view has ever held the customer.
    """
    tables = [table.name for table in find_tables(deployment.lake)]
    pins = [pin for pin in list_pins(deployment) if _is_held(deployment, pin, customer_id)]
    orders = _orders_of(deployment, customer_id) if _ORDERS in tables else []
    copies = [table for table in tables if table != _ORDERS]
    rows: Counter[str] = Counter()
    online = _erase_online(deployment, customer_id, orders)
    # The orders say what else is the customer's: they go when the rest is gone, or an erasure that stopped half-way
    # could not be completed. A night in between writes again what it had read before: hence all of it twice, the
    # second time after the orders.
    for erased in (copies, [_ORDERS, *copies] if _ORDERS in tables else copies):
        rows += _erase_tables(deployment, erased, customer_id, orders)
        online += _erase_online(deployment, customer_id, orders)
    found, gone = dict(rows), dict(online)
    if not found and not gone and not pins:
        raise UsageError(
            f"customer {customer_id!r} is in no table of {deployment.lake.uri} and not online; customer ids are "
            "strings, compared exactly, e.g. 17850"
        )
    log.info("forget rows=%d tables=%d online=%d pins=%d", sum(found.values()), len(found), len(gone), len(pins))
    until = today + timedelta(days=deployment.settings.retention_days)
    return Erasure(customer_id, found, gone, pins, until)


def _erase_online(deployment: Deployment, customer_id: str, orders: list[str]) -> Counter[str]:
    online: Counter[str] = Counter()
    for entity, key in (("customer", customer_id), *(("order", order) for order in orders)):
        online.update(deployment.feature_store.forget(entity, key))
    return +online


def _erase_tables(deployment: Deployment, tables: list[str], customer_id: str, orders: list[str]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for table in tables:
        if table == _QUARANTINE:
            rows[table] = _remove_quarantined(deployment, customer_id)
        else:
            names = deployment.lake.dataset(table).schema.names
            key, values = (_CUSTOMER, [customer_id]) if _CUSTOMER in names else (_ORDER, orders)
            rows[table] = _remove(deployment, table, key, values) if key in names and values else 0
    return +rows


def _orders_of(deployment: Deployment, customer_id: str) -> list[str]:
    mine = pc.field(_CUSTOMER) == customer_id
    found = deployment.lake.dataset(_ORDERS).to_table(columns=[_ORDER], filter=mine)
    return sorted(set(found[_ORDER].to_pylist()))


def _remove(deployment: Deployment, table: str, key: str, values: list[str]) -> int:
    before = deployment.lake.version(table)
    held = deployment.lake.dataset(table).to_table(columns=["dt"], filter=pc.field(key).isin(values))
    days = sorted({str(day) for day in held["dt"].to_pylist()})
    after = _rewrite(deployment, table, "dt", days, lambda rows: pc.is_in(rows[key], pa.array(values)))
    # Nobody has to be built again for this: what others' features say stays true.
    if before is not None and after == before + 1:
        for spec in load_feature_groups():
            _confirm(deployment, spec, table, before, after)
    return int(held.num_rows)


def _remove_quarantined(deployment: Deployment, customer_id: str) -> int:
    def is_mine(rows: pa.Table) -> pa.Array:
        return pa.array([_is_about(row, customer_id) for row in rows["row"].to_pylist()], pa.bool_())

    rows = deployment.lake.dataset(_QUARANTINE).to_table(columns=["source", "row"])
    mine = rows.filter(is_mine(rows))
    _rewrite(deployment, _QUARANTINE, "source", sorted(set(mine["source"].to_pylist())), is_mine)
    return int(mine.num_rows)


def _rewrite(
    deployment: Deployment,
    table: str,
    partition_by: str,
    keys: list[str],
    is_mine: Callable[[pa.Table], pa.Array | pa.ChunkedArray],
) -> int | None:
    """Write partitions again without the rows that are the customer's; return the table's version then."""
    if not keys:
        return None

    def others(present: pa.Table | None) -> pa.Table:
        if present is None:
            raise MlopsError(f"{table} was removed while a customer was being erased; run the command again")
        return present.filter(pc.invert(pc.fill_null(is_mine(present), False)))

    return deployment.lake.update(table, keys, others, partition_by=partition_by).version


def _confirm(deployment: Deployment, spec: FeatureGroupSpec, source: str, before: int, after: int) -> None:
    if spec.source == source:
        built_from = deployment.state.source_versions(spec.table)
        agreeing = {key: before for key, known in built_from.items() if known == before}
        deployment.state.confirm_source(spec.table, agreeing, after)


def _is_about(row: str, customer_id: str) -> bool:
    """Say whether a quarantined row, kept as JSON in the words of its file, has the id in a customer's field."""
    values: dict[str, Any] = json.loads(row)
    return any(normal_key(str(value)) == customer_id for name, value in values.items() if "customer" in name.lower())


def _is_held(deployment: Deployment, pin: Pin, customer_id: str) -> bool:
    _, examples = read_training_set(deployment.lake, pin.model_id, pin.set_id)
    if _CUSTOMER in examples.column_names and pc.any(pc.equal(examples[_CUSTOMER], customer_id)).as_py():
        return True
    mine = pc.field(_CUSTOMER) == customer_id
    return any(
        bool(deployment.lake.dataset(table, version=version).count_rows(filter=mine))
        for table, version in pin.sources.items()
    )
