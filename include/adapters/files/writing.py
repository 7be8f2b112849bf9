"""Tables to a file that a person names: parquet or CSV, written as a whole or not at all.

What belongs here: the formats, and that an old file stays until the new one is whole. What does not: the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from include.errors import UsageError


def _write_csv(rows: pa.Table, path: Path) -> None:
    try:
        pacsv.write_csv(rows, path, pacsv.WriteOptions(quoting_style="none"))
    except pa.ArrowInvalid:
        # A text holds a comma, a quote or a line's end.
        pacsv.write_csv(rows, path)


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {".parquet": pq.write_table, ".csv": _write_csv}


def writer(out: Path) -> Callable[[pa.Table], None]:
    """Return what writes a table to a file, which is replaced whole or stays as it was.

    Raises
    ------
    UsageError
        Now, if the file's extension or its folder won't do; from the call, if it can't be written.
    """
    write = _WRITERS.get(out.suffix.lower())
    if write is None:
        raise UsageError(f"--out {out.name!r} is not a file this can write; name it *{' or *'.join(_WRITERS)}")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {out.absolute().parent}; make it first")

    def finish(rows: pa.Table) -> None:
        unfinished = out.with_name(f".{out.name}.unfinished")
        try:
            write(rows, unfinished)
            unfinished.replace(out)
        except (pa.ArrowException, OSError) as err:
            raise UsageError(f"{out} can't be written: {err}; choose another --out, or the other format") from err
        finally:
            unfinished.unlink(missing_ok=True)

    return finish
