"""Export the scores of one night as plain parquet files, for those who have no reader of Delta tables.

What belongs here: the one pass from the lake to a folder outside it. What does not: the printed line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from include.adapters.files.marked_folder import write_folder
from include.adapters.lake.portions import StoredRows
from include.errors import UsageError, one_line
from include.partitions import parse
from include.specs.models import load_model
from include.tables import predictions_name

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportedPredictions:
    """A folder that holds the scores of a night, in all roles, and the table's version that they are of."""

    model_id: str
    partition: str
    uri: str
    rows: int
    version: int


def export_predictions(deployment: Deployment, model_id: str, *, partition: str, out: str) -> ExportedPredictions:
    """Write a night's scores below `out`, as ``predictions/MODEL/YYYY-MM-DD/``, in the place of an earlier export.

    The files are whole where ``_SUCCESS`` lies beside them. The same scores again leave them as they are.

    Parameters
    ----------
    out : str
        ``file://…`` or ``s3://…``.

    Raises
    ------
    UsageError
        If the night's scores are not published, or can't be written there.
    """
    table = predictions_name(load_model(model_id).model_id)
    parse(partition)
    if partition not in deployment.state.publications(table):
        raise UsageError(
            f"{table} in {deployment.lake.uri} has no published partition {partition}; score it first (mlops score "
            f"--model {model_id} --date {partition})"
        )
    version = deployment.lake.version(table) or 0
    stored = deployment.lake.dataset(table, version=version, keys=[partition])
    uri = f"{out.rstrip('/')}/{table}/{partition}"
    try:
        is_new = write_folder(uri, _pieces(stored), s3_endpoint_url=deployment.settings.s3_endpoint_url)
    except OSError as err:
        raise UsageError(f"{uri} can't be written: {one_line(err)}; choose another --out") from err
    rows = stored.count_rows()
    log.info("export model=%s partition=%s rows=%d uri=%s new=%s", model_id, partition, rows, uri, is_new)
    return ExportedPredictions(model_id, partition, uri, rows, version)


def _pieces(stored: Dataset) -> Iterator[pa.Table]:
    """Yield all rows, in one piece at least."""
    pieces = StoredRows(stored).in_pieces()
    yield next(pieces, stored.schema.empty_table())
    yield from pieces
