"""Find what names a customer: an id, the orders behind it, and the rows of any table that has one of them.

What belongs here: one look at a table, by how its rows name a person. What does not: which tables there are and how
their rows do, which the list of tables says, and removing rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.quality.formats import normal_key
from include.tables import ORDERS, Person

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.lake.delta_lake import LakeAdapter
    from include.tables import TableSpec

# In which the formats of a delivery name an order; a customer's fields say so in their names.
_ORDER_FIELDS = frozenset({"order_id", "ref_order_id", "InvoiceNo"})


@dataclass(frozen=True)
class Customer:
    """A person as the tables know one.

    Attributes
    ----------
    customer_id : str
    orders : tuple of str
        The ids of the customer's orders.
    """

    customer_id: str
    orders: tuple[str, ...]

    def ids(self, person: Person) -> tuple[str, ...]:
        """Return what stands in a column that names a person."""
        return {Person.CUSTOMER: (self.customer_id,), Person.ORDER: self.orders}.get(person, ())


def find_customer(lake: LakeAdapter, customer_id: str) -> Customer:
    """Return a customer with the orders that the lake's orders hold of one."""
    if not lake.exists(ORDERS.name):
        return Customer(customer_id, ())
    mine = pc.field(Person.CUSTOMER.value) == customer_id
    found = lake.dataset(ORDERS.name).to_table(columns=[Person.ORDER.value], filter=mine)
    return Customer(customer_id, tuple(sorted(set(found[Person.ORDER.value].to_pylist()))))


def find_rows(customer: Customer, rows: Dataset, table: TableSpec) -> list[str]:
    """Return the partition of each row that names the customer."""
    if table.person is Person.DELIVERED_ROW:
        wanted = None
    elif ids := customer.ids(table.person):
        wanted = pc.field(table.person.value).isin(pa.array(ids, pa.string()))
    else:
        return []
    columns = list(dict.fromkeys([table.partition_by, table.person.value]))
    found = rows.to_table(columns=columns, filter=wanted)
    return [str(key) for key in found.filter(mark_rows(customer, found, table.person))[table.partition_by].to_pylist()]


def mark_rows(customer: Customer, rows: pa.Table, person: Person) -> pa.ChunkedArray:
    """Return for each row whether it names the customer; never null."""
    if person is Person.NOBODY:
        return pa.chunked_array([pa.repeat(False, rows.num_rows)])
    values = rows[person.value]
    if person is Person.DELIVERED_ROW:
        return pa.chunked_array([[_is_about(row, customer) for row in values.to_pylist()]], pa.bool_())
    marked: pa.ChunkedArray = pc.is_in(values, pa.array(customer.ids(person), pa.string()))
    return marked


def _is_about(row: str, customer: Customer) -> bool:
    """Say whether a delivered row, kept as JSON in the words of its file, is the customer's.

    One that names no customer is whose the order is.
    """
    values: dict[str, Any] = json.loads(row)
    named = {name: normal_key(str(value)) for name, value in values.items() if value is not None}
    if customers := {value for name, value in named.items() if "customer" in name.lower()}:
        return customer.customer_id in customers
    return any(named.get(name) in customer.orders for name in _ORDER_FIELDS)
