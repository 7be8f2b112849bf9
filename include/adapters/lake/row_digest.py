"""Whether tables hold equal rows, whatever their order, chunks or files.

What belongs here: that comparison, and the hash that stands for it. What does not: where the rows come from.
"""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.compute as pc


def digest(rows: pa.Table) -> str:
    """Return the sha256 of a table's rows, whatever their order or chunks."""
    ordered = _ordered(rows)
    sha = hashlib.sha256(str(ordered.schema.remove_metadata()).encode())
    for batch in ordered.to_batches():
        sha.update(batch.serialize())
    return sha.hexdigest()


def same_rows(one: pa.Table, other: pa.Table) -> bool:
    """Say whether two tables hold equal rows, in the types of the first."""
    if one.num_rows != other.num_rows or set(one.column_names) != set(other.column_names):
        return False
    return digest(one.cast(one.schema)) == digest(other.select(one.column_names).cast(one.schema))


def _ordered(rows: pa.Table) -> pa.Table:
    names = sorted(rows.column_names)
    aligned = rows.select(names).replace_schema_metadata(None)
    aligned = aligned.cast(pa.schema([pa.field(f.name, f.type) for f in aligned.schema]))
    if not names or aligned.num_rows == 0:
        return aligned.combine_chunks()
    # A take copies: the batches hold exactly the rows, without the slices that they came from.
    order = pc.sort_indices(aligned, sort_keys=[(name, "ascending") for name in names])
    return aligned.take(order).combine_chunks()
