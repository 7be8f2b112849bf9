"""The lake as the prediction log has it: where chunks go, by model.

What belongs here: which table a chunk is of, and what is asked of it. What does not: when that is (``committing``),
and the commit (``adapters.lake.online_log``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.lake.appends import is_added
from include.adapters.lake.online_log import append_vectors
from include.errors import MlopsError
from include.tables import OF_NOBODY, TableSpec, online_vectors_table

if TYPE_CHECKING:
    import pyarrow as pa

    from include.adapters.lake.delta_lake import LakeAdapter
    from include.serving.log_rows import RowSource


class LakeSink:
    """Takes the chunks of a process into the lake; see `Sink`.

    Parameters
    ----------
    lake : LakeAdapter
    """

    def __init__(self, lake: LakeAdapter) -> None:
        self._lake = lake
        self._seen: set[str] = set()

    def has(self, source: RowSource, number: int) -> bool:
        """Say whether a chunk is in the lake.

        Raises
        ------
        MlopsError
            If the lake does not answer, or a table is not there any more: it would be made anew where a disk should be.
        """
        table = _table(source).name
        if self._lake.exists(table):
            self._seen.add(table)
            return is_added(self._lake, table, work=source.work, number=number)
        if table in self._seen:
            raise MlopsError(
                f"lake table {table} was at {self._lake.uri} and is not any more; bring it back, or start the service "
                "again to have it made anew"
            )
        return False

    def add(self, source: RowSource, rows: pa.Table, number: int) -> None:
        """Add the rows of a chunk, unless they are there."""
        numbers = rows["sequence_number"]
        note = {"rows": str(rows.num_rows), "first": str(numbers[0].as_py()), "last": str(numbers[-1].as_py())}
        table = _table(source)
        append_vectors(self._lake, table, rows, work=source.work, number=number, note=note)
        self._seen.add(table.name)


def _table(source: RowSource) -> TableSpec:
    # Whose data the rows are is for whoever erases; here it is a name and its columns.
    return online_vectors_table(source.model_id, source.keys, OF_NOBODY)
