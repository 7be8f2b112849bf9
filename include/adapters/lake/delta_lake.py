"""The lake: Delta tables under one root, written one set of partitions at a time.

What belongs here: reading, replacing and listing partitions of any table. What does not:
what a table's rows mean.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as fs
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from include.adapters.arrow_files import open_location
from include.adapters.lake.checked_files import TableFiles
from include.adapters.lake.commits import conformed, make_table, replace_partitions
from include.adapters.lake.data_files import FIRST_ENTRY
from include.adapters.lake.lake_errors import absent, gone, unreachable
from include.adapters.lake.listed_files import listed_files
from include.adapters.lake.portions import in_portions
from include.adapters.lake.row_digest import digest
from include.adapters.lake.whole_log import keep_log
from include.errors import MlopsError, nearest
from include.settings import Settings

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset, Expression

    from include.adapters.lake.portions import Change, Reach, Rewriting
    from include.adapters.lake.span import FileFilter, Span

log = logging.getLogger(__name__)

# Two writers of one partition conflict at most once each per commit of the other.
_MAX_ATTEMPTS = 20
# One of them is in the log of every table: a log that has lost its beginning has a checkpoint.
_SIGNS = (FIRST_ENTRY, "_delta_log/_last_checkpoint")


@dataclass(frozen=True)
class TableRef:
    """A table as it was at one version: what steps hand to one another."""

    table: str
    version: int


class LakeAdapter:
    """Delta tables under one root, on ``file://`` or ``s3://``.

    Parameters
    ----------
    uri : str
        Root of the tables.
    storage_options : dict of str to str, optional
        What deltalake's object store needs to reach the root.
    """

    def __init__(self, uri: str, storage_options: dict[str, str] | None = None) -> None:
        self.uri = uri.rstrip("/")
        self.storage_options = storage_options or {}
        self.s3_endpoint_url = self.storage_options.get("AWS_ENDPOINT_URL")

    @classmethod
    def from_settings(cls, settings: Settings) -> LakeAdapter:
        """Return the deployment's lake."""
        options: dict[str, str] = {}
        if settings.lake_uri.startswith("s3://") and settings.s3_endpoint_url:
            options = {"AWS_ENDPOINT_URL": settings.s3_endpoint_url, "AWS_ALLOW_HTTP": "true"}
        return cls(settings.lake_uri, options)

    def table_uri(self, table: str) -> str:
        """Return a table's address."""
        return f"{self.uri}/{table}"

    def exists(self, table: str) -> bool:
        """Say whether the table has been written at least once."""
        try:
            filesystem, path = open_location(self.table_uri(table), self.s3_endpoint_url)
            # `DeltaTable.is_deltatable` keeps Python's lock until the storage answers: no thread goes on meanwhile.
            found = filesystem.get_file_info([f"{path}/{name}" for name in _SIGNS])
        except OSError as err:
            raise unreachable(self.uri, table, err) from err
        return any(each.is_file for each in found)

    def version(self, table: str) -> int | None:
        """Return the table's newest version, or None where it does not exist."""
        delta = self._find(table)
        return delta.version() if delta is not None else None

    def delta(self, table: str, version: int | None = None) -> DeltaTable:
        """Return the table as Delta knows it, at its newest version or another.

        Raises
        ------
        MlopsError
            If there is no such table or version, or the lake can't be reached.
        """
        if version is None:
            delta = self._find(table)
        else:
            try:
                delta = DeltaTable(self.table_uri(table), version, self.storage_options or None)
            except (DeltaError, OSError) as err:
                raise self._gone(table, version) from err
        if delta is None:
            raise absent(self.uri, table)
        return delta

    def dataset(
        self,
        table: str,
        *,
        version: int | None = None,
        within: Span | None = None,
        keys: Sequence[str] | None = None,
    ) -> Dataset:
        """Return the table as an Arrow dataset, which prunes partitions when it is filtered.

        Its files are held against what was committed, each once in a process.

        Parameters
        ----------
        within : Span, optional
            Leave out the files that can't hold rows of this span, by the statistics in the table's log: a
            long history then costs nothing. Rows outside the span may remain.
        keys : sequence of str, optional
            The partitions that are wanted; default: all.

        Raises
        ------
        MlopsError
            If the table or the span's column does not exist, a file is not what was committed, or the lake can't be
            reached.
        ExpiredError
            If the version is not kept any more.
        """
        delta = self.delta(table, version)
        wanted: list[FileFilter] = [("dt", "in", list(keys))] if keys is not None else []
        if within is None:
            return self._dataset(delta, table, wanted, version=version)
        names = [field.name for field in delta.schema().fields]
        if within.column not in names:
            raise MlopsError(
                f"lake table {table} has no column {within.column!r}; it has {', '.join(names)}"
                f"{nearest(within.column, names)}"
            )
        return self._dataset(delta, table, [*wanted, *within.filters()], version=version)

    def partitions(self, table: str, *, version: int | None = None, partition_by: str = "dt") -> list[str]:
        """Return the keys of the partitions that hold rows, in order; none where there is no table."""
        delta = self._find(table) if version is None else self.delta(table, version)
        return sorted({p[partition_by] for p in delta.partitions() if p.get(partition_by)}) if delta is not None else []

    def read(
        self,
        table: str,
        *,
        start: str | None = None,
        end: str | None = None,
        keys: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        where: Expression | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Read partitions `start` to `end`, both included, or the ones of `keys`; all where none are given.

        Parameters
        ----------
        where : pyarrow.dataset.Expression, optional
            Of columns: only rows for which it holds; what lies elsewhere in a file is not read.

        Returns
        -------
        pyarrow.Table
            Rows in no particular order, but for a single partition, whose rows are as they were written.

        Raises
        ------
        MlopsError
            If the table does not exist, a file is not what was committed, or the lake can't be reached.
        """
        wanted: list[FileFilter] = [("dt", ">=", start)] if start is not None else []
        if end is not None:
            wanted.append(("dt", "<=", end))
        if keys is not None:
            wanted.append(("dt", "in", list(keys)))
        names = list(columns) if columns is not None else None
        found = self._dataset(self.delta(table, version), table, wanted, version=version)
        try:
            return found.to_table(columns=names, filter=where)
        except FileNotFoundError as err:
            if version is None:
                raise unreachable(self.uri, table, err) from err
            raise self._gone(table, version) from err

    def replace(self, table: str, rows: pa.Table, *, keys: Sequence[str], partition_by: str = "dt") -> TableRef:
        """Replace the partitions `keys` by `rows`, in one commit, or in none when nothing would change.

        Parameters
        ----------
        table : str
            Name below the root; created where it does not exist.
        rows : pyarrow.Table
            The new content of all the partitions, sorted as it shall be kept; may be empty.
        keys : sequence of str
            Values of `partition_by` that `rows` may hold; a key without rows becomes empty.
        partition_by : str
            The partition column.

        Raises
        ------
        MlopsError
            If a row lies outside `keys`, or the lake can't be written.
        """
        return self.update(table, keys, lambda _: rows, partition_by=partition_by)

    def update(self, table: str, keys: Sequence[str], change: Change, *, partition_by: str = "dt") -> TableRef:
        """Replace partitions by what `change` makes of their present rows, in one commit.

        When another writer commits to the same partitions in between, the rows are read
        again and `change` is called again: it must be a pure function.

        Parameters
        ----------
        change : callable
            Takes the present rows of `keys` (None where the table does not exist) and returns the
            rows that shall be there instead.
        """
        rewriting = in_portions(lambda: [(keys, change)], partition_by=partition_by)
        return self.rewrite(table, keys, rewriting, partition_by=partition_by)

    def rewrite(
        self,
        table: str,
        keys: Sequence[str],
        rewriting: Rewriting,
        *,
        partition_by: str = "dt",
        reach: Reach | None = None,
    ) -> TableRef:
        """As `update`, by the rows that `rewriting` gives a table at a time; none where nothing shall change.

        `reach` finds more partitions to replace in the table as it is read, and as it is when the rows are committed.
        """
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            try:
                return self._rewrite_once(table, set(keys), rewriting, partition_by, reach)
            except CommitFailedError as err:
                log.info("lake table=%s conflict attempt=%d reason=%s", table, attempt, err)
            except (DeltaError, OSError) as err:
                raise unreachable(self.uri, table, err) from err
        raise MlopsError(
            f"lake table {table}: {_MAX_ATTEMPTS} writes in a row met another writer of the same "
            f"partitions ({keys[0]} … {keys[-1]}); run one writer per partition, then retry"
        )

    def require_partitioned(self, table: str, *, partition_by: str) -> None:
        """Check that a table, where it is there, is partitioned as it is written.

        Raises
        ------
        MlopsError
            If it isn't: another version of this project made it.
        """
        delta = self._find(table)
        if delta is not None and (found := delta.metadata().partition_columns) != [partition_by]:
            raise MlopsError(
                f"lake table {table} is partitioned by {', '.join(found) or 'nothing'}, and this version of the "
                f"project writes it by {partition_by}: an earlier one made the lake at {self.uri}; make a new home "
                "and import again there, or go on with that version"
            )

    def digest(
        self, table: str, *, start: str | None = None, end: str | None = None, version: int | None = None
    ) -> str:
        """Return the sha256 of partitions' rows, whatever their order or files.

        Two tables with equal digests hold equal rows.
        """
        return digest(self.read(table, start=start, end=end, version=version))

    def _rewrite_once(
        self, table: str, named: set[str], rewriting: Rewriting, partition_by: str, reach: Reach | None
    ) -> TableRef:
        def reached(delta: DeltaTable) -> set[str]:
            return named.union(reach(self._dataset(delta, table)) if reach else ())

        delta = self._find(table)
        keys = sorted(named if delta is None else reached(delta))
        present = None if delta is None else self._dataset(delta, table, [(partition_by, "in", keys)])
        pieces = conformed(delta, rewriting(present), keys, table=table, partition_by=partition_by)
        if delta is None:
            uri, version = self.table_uri(table), 0
            rows = make_table(uri, pieces, partition_by=partition_by, s3_endpoint_url=self.s3_endpoint_url)
        else:
            if (first := next(pieces, None)) is None:
                return TableRef(table, delta.version())
            if keep_log(delta):
                # Others may have written before that commit: what was read is no longer what is replaced.
                return self._rewrite_once(table, named, rewriting, partition_by, reach)
            rows = replace_partitions(
                delta,
                chain([first], pieces),
                self._filesystem(table),
                keys=keys,
                partition_by=partition_by,
                strays=(lambda now: not reached(now).issubset(keys)) if reach else None,
            )
            version = delta.version()
        log.info("lake table=%s version=%d partitions=%d rows=%d", table, version, len(keys), rows)
        return TableRef(table, version)

    def _find(self, table: str) -> DeltaTable | None:
        try:
            return DeltaTable(self.table_uri(table), storage_options=self.storage_options or None)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as err:
            raise unreachable(self.uri, table, err) from err

    def _dataset(
        self, delta: DeltaTable, table: str, wanted: Sequence[FileFilter] = (), *, version: int | None = None
    ) -> Dataset:
        """Return the files of the partitions that are wanted, checked: every file of a long history is what costs."""
        # Arrow's own file systems: with the Python one that deltalake makes by default, an I/O thread that
        # still holds it at exit aborts the interpreter ("terminate called without an active exception").
        filesystem = self._filesystem(table)
        found = listed_files(delta, filesystem, wanted)
        try:
            TableFiles(table, self.table_uri(table), filesystem).check(found.files)
        except OSError as err:
            if version is not None and isinstance(err, FileNotFoundError):
                raise self._gone(table, version) from err
            raise unreachable(self.uri, table, err) from err
        return found

    def _filesystem(self, table: str) -> fs.FileSystem:
        filesystem, path = open_location(self.table_uri(table), self.s3_endpoint_url)
        return fs.SubTreeFileSystem(path, filesystem)

    def _gone(self, table: str, version: int) -> MlopsError:
        newest = self.version(table)
        if newest is None:
            return absent(self.uri, table)
        return gone(table, version, newest=newest, folder=self.table_uri(table))
