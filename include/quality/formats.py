"""The formats that orders come in, and how each becomes canonical rows.

What belongs here: the columns that a file of a format has, and the SELECT from them to canonical
columns. What does not: reading a file, and which rows are taken.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from include.errors import UsageError, nearest
from include.quality.sql import column, literal
from include.specs.sources import SourceSpec


class Family(StrEnum):
    """What the values of a file's column are; each admits several Arrow types."""

    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True)
class FileColumn:
    """A column of a file: its name, what its values are, and whether the file must have it."""

    name: str
    family: Family
    required: bool


FORMATS = ("canonical", "online-retail")

# Name of the column that numbers a file's rows from 1, in file order.
ROW_NUMBER = "_row"

# Prefix of the columns that keep a row as it was delivered, beside its canonical columns.
DELIVERED = "delivered__"

# A column of whole numbers with gaps leaves pandas as floats: 17850 is written as 17850.0.
_FLOAT_KEY = r"([0-9]+)\.0"

_FAMILIES = {"string": Family.TEXT, "int64": Family.WHOLE, "float64": Family.NUMBER, "timestamp": Family.TIME}

# UCI Machine Learning Repository, data set 352.
_ONLINE_RETAIL = (
    FileColumn("InvoiceNo", Family.TEXT, required=True),
    FileColumn("StockCode", Family.TEXT, required=True),
    FileColumn("Description", Family.TEXT, required=False),
    FileColumn("Quantity", Family.WHOLE, required=True),
    FileColumn("InvoiceDate", Family.TIME, required=True),
    FileColumn("UnitPrice", Family.NUMBER, required=True),
    FileColumn("CustomerID", Family.TEXT, required=True),
    FileColumn("Country", Family.TEXT, required=True),
)


def check_format(file_format: str) -> str:
    """Return `file_format` if it is known.

    Raises
    ------
    UsageError
        If it isn't.
    """
    if file_format not in FORMATS:
        hint = nearest(file_format, FORMATS)
        raise UsageError(f"format {file_format!r} is not known; allowed: {', '.join(FORMATS)}{hint}")
    return file_format


def file_columns(file_format: str, contract: SourceSpec) -> tuple[FileColumn, ...]:
    """Return the columns that a file of a format has or may have, in order.

    Parameters
    ----------
    file_format : {"canonical", "online-retail"}
        The format.
    contract : SourceSpec
        Its columns are those of the canonical format.

    Raises
    ------
    UsageError
        If the format isn't known.
    """
    if check_format(file_format) == "online-retail":
        return _ONLINE_RETAIL
    return tuple(FileColumn(c.name, _FAMILIES[c.type], required=c.required) for c in contract.columns)


def identity(file_format: str, contract: SourceSpec, *, present: Collection[str]) -> tuple[str, ...]:
    """Return the columns of ``typed`` that make two rows equal: the format's columns, as delivered."""
    return tuple(DELIVERED + c.name for c in file_columns(file_format, contract) if c.name in present)


def typed_sql(
    file_format: str,
    contract: SourceSpec,
    *,
    present: Collection[str],
    naive: Collection[str],
    time_zone: str,
) -> str:
    """Return the SELECT from a file's rows to canonical columns.

    Parameters
    ----------
    file_format : {"canonical", "online-retail"}
        The format.
    contract : SourceSpec
        Names the canonical columns.
    present : collection of str
        Columns that the file has.
    naive : collection of str
        Its time columns that have no zone.
    time_zone : str
        IANA name of the zone in which those are read.

    Returns
    -------
    str
        DuckDB SQL over table ``delivered``: the file's columns and ``_row``, the 1-based place in
        the file. The result has ``_row``, the canonical columns in order (line and quantity as
        DOUBLE, so that an infinite one can be told; received_at null where the file is silent) and
        the columns of `identity`.

    Notes
    -----
    A local time that a zone has twice, when its clocks go back, is read as the second one, in
    standard time: a row never counts as known too early. A local time that a zone leaves out, when
    its clocks go forward, is read with the offset before the change, as an hour later on the new clock.
    """
    times = {name: _instant(name, naive, time_zone) for name in present}
    expressions = _online_retail(times) if file_format == "online-retail" else _canonical(contract, present, times)
    canonical = ", ".join(f"{expressions[name]} AS {column(name)}" for name in contract.column_names)
    delivered = _listed(
        f"{column(name.removeprefix(DELIVERED))} AS {column(name)}"
        for name in identity(file_format, contract, present=present)
    )
    return f"SELECT _row, {canonical}{delivered} FROM delivered"


def _canonical(contract: SourceSpec, present: Collection[str], times: dict[str, str]) -> dict[str, str]:
    def expression(name: str, type_: str) -> str:
        if name not in present:
            return "CAST(NULL AS TIMESTAMPTZ)" if type_ == "timestamp" else "CAST(NULL AS VARCHAR)"
        if type_ == "timestamp":
            return times[name]
        return _text(name) if type_ == "string" else f"CAST({column(name)} AS DOUBLE)"

    expressions = {c.name: expression(c.name, c.type) for c in contract.columns}
    for key in ("order_id", "customer_id", "ref_order_id"):
        expressions[key] = _key(expressions[key])
    expressions["kind"] = f"coalesce({expressions['kind']}, 'sale')"
    return expressions


def _online_retail(times: dict[str, str]) -> dict[str, str]:
    invoice = _key(_text("InvoiceNo"))
    return {
        "order_id": invoice,
        "line": f"CAST(row_number() OVER (PARTITION BY {invoice} ORDER BY _row) AS DOUBLE)",
        "customer_id": _key(_text("CustomerID")),
        "ordered_at": times["InvoiceDate"],
        "product_id": _text("StockCode"),
        "category": "CAST(NULL AS VARCHAR)",
        "quantity": 'CAST("Quantity" AS DOUBLE)',
        "unit_price": 'CAST("UnitPrice" AS DOUBLE)',
        "country": _text("Country"),
        "received_at": "CAST(NULL AS TIMESTAMPTZ)",
        # The source marks a cancellation by the first letter of its invoice.
        "kind": f"CASE WHEN starts_with({invoice}, 'C') THEN 'cancellation' ELSE 'sale' END",
        "ref_order_id": "CAST(NULL AS VARCHAR)",
    }


def _text(name: str) -> str:
    return f"CASE WHEN trim({column(name)}) <> '' THEN {column(name)} END"


def normal_key(text: str) -> str:
    """Return an entity's key as the tables hold it, whatever a file wrote: what `typed_sql` does to keys.

    Examples
    --------
    >>> normal_key("17850.0"), normal_key("17850"), normal_key("A.0")
    ('17850', '17850', 'A.0')
    """
    found = re.fullmatch(_FLOAT_KEY, text)
    return found.group(1) if found else text


def _key(expression: str) -> str:
    return rf"regexp_replace({expression}, '^{_FLOAT_KEY}$', '\1')"


def _instant(name: str, naive: Collection[str], time_zone: str) -> str:
    return f"timezone({literal(time_zone)}, {column(name)})" if name in naive else column(name)


def _listed(items: Iterable[str]) -> str:
    return "".join(f", {item}" for item in items)
