"""Times that parquet keeps as INT96, which Arrow reads in nanoseconds, where those of 1600 and 9999 wrap around.

What belongs here: in which unit a file's are exact. What does not: reading them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.adapters.files.tabular import TableFile
from include.errors import UnreadableInputError

Int96Unit = Literal["ns", "us"]

_NANOSECONDS = 1_000
# In microseconds; further from 1970 there are no nanoseconds.
_LATEST = (2**63 - 1) // _NANOSECONDS - 1


def find_int96_unit(file: TableFile) -> Int96Unit:
    """Return the unit in which the INT96 columns of a parquet file are to be read, all of them: within `reading`.

    Returns
    -------
    {"ns", "us"}
        Nanoseconds, unless there is a time that they can't count.

    Raises
    ------
    UnreadableInputError
        If there is such a time, and one with a fraction of a microsecond.
    """
    is_far, finest = False, None
    for name, nanoseconds, microseconds in _read_twice(file):
        # What wrapped wraps back.
        if (nanoseconds - microseconds * _NANOSECONDS).any():
            finest = name
        is_far = is_far or bool((np.abs(microseconds) > _LATEST).any())
    if is_far and finest is not None:
        raise UnreadableInputError(
            f"{file.name}: column {finest!r} has fractions of a microsecond, and a time of INT96 is outside the years "
            "1677 to 2262 that nanoseconds can count; write its times as timestamps of microseconds"
        )
    return "us" if is_far else "ns"


def _read_twice(file: TableFile) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """Yield parts of the INT96 columns: the name, and the same times counted in nanoseconds and in microseconds."""
    with file.filesystem.open_input_file(file.path) as one, file.filesystem.open_input_file(file.path) as other:
        opened = [pq.ParquetFile(one), pq.ParquetFile(other, coerce_int96_timestamp_unit="us")]
        leaves = [opened[0].schema.column(place) for place in range(len(opened[0].schema))]
        names = [leaf.name for leaf in leaves if leaf.physical_type == "INT96" and leaf.path == leaf.name]
        if names:
            for parts in zip(*(twin.iter_batches(columns=names) for twin in opened), strict=True):
                for name in names:
                    nanoseconds, microseconds = (_ticks(part[name]) for part in parts)
                    yield name, nanoseconds, microseconds


def _ticks(times: pa.Array) -> NDArray[np.int64]:
    ticks: NDArray[np.int64] = times.cast(pa.int64()).fill_null(0).to_numpy()
    return ticks
