"""Split a file of a source into its history and its last nights, as a shop would have delivered them.

What belongs here: cutting by the day of the deliverer's clock. What does not: judging a
row; every row goes to one side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include import partitions
from include.adapters.sources import source_files
from include.adapters.sources.deliveries import COMPLETE, FORMAT
from include.errors import UsageError
from include.quality.formats import event_column, file_columns, find_format, find_likely_format
from include.specs.sources import SourceSpec
from include.steps.generate_orders import ARRIVALS, HISTORY


@dataclass(frozen=True)
class SourceSplit:
    """A shop's log in two parts.

    Attributes
    ----------
    history : Path
        One file with every row up to `history_end`, and those without a time.
    first, history_end : str
        First and last day of the history.
    nights : list of str
        The days after it: ``arrivals/<night>/`` is a copy of what the landing folder gets on that night.
    """

    history: Path
    first: str
    history_end: str
    nights: list[str]


def split_source(source: Path, spec: SourceSpec, *, file_format: str, nights: int, folder: Path) -> SourceSplit:
    """Write the history, and each of the last `nights` days as it will arrive, to `folder`.

    Raises
    ------
    UsageError
        If the file can't be read, or holds too few days.
    """
    columns = file_columns(spec, file_format)
    dialect = find_format(spec, file_format).dialect
    rows = source_files.read_source(
        source_files.local_file(source), columns, dialect=dialect, advise=partial(find_likely_format, spec)
    )
    day = _deliverers_day(rows[event_column(spec, file_format)], spec)
    first, last = (partitions.key_of(pc.min_max(day)[end].as_py()) for end in ("min", "max"))
    cut = partitions.shift(last, -nights)
    if cut <= first:
        raise UsageError(f"{source.name} holds {first} … {last}: too few days for {nights} nights after a history")
    is_history = pc.fill_null(pc.less_equal(day, pa.scalar(partitions.parse(cut))), True)
    folder.mkdir(parents=True, exist_ok=True)
    history = folder / HISTORY
    pq.write_table(rows.filter(is_history), history)
    keys = partitions.span(partitions.shift(cut, 1), last)
    for key in keys:
        arrives = folder / ARRIVALS / key / spec.source / f"dt={key}"
        _deliver(rows.filter(pc.equal(day, pa.scalar(partitions.parse(key)))), arrives, file_format)
    return SourceSplit(history, first, cut, keys)


def _deliverers_day(times: pa.ChunkedArray, spec: SourceSpec) -> pa.ChunkedArray:
    """Return the day of each time, which without a zone is of the deliverer's clock already."""
    if times.type.tz is not None:
        times = pc.local_timestamp(times.cast(pa.timestamp("us", spec.time_zone)))
    return pc.cast(pc.floor_temporal(pc.subtract(times, pa.scalar(spec.day_offset)), unit="day"), pa.date32())


def _deliver(rows: pa.Table, folder: Path, file_format: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if rows.num_rows:
        pq.write_table(rows, folder / "rows.parquet")
    (folder / FORMAT).write_text(file_format)
    (folder / COMPLETE).touch()
