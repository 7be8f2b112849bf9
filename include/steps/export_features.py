"""Export one partition of a feature group as a file.

What belongs here: the one pass from the lake to a file outside it. What does not: the printed line.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from include.adapters.files.writing import writer
from include.errors import UsageError
from include.features.checks import expected_schema
from include.features.versions import newest_versions
from include.partitions import parse
from include.refs import FeaturesRef
from include.specs.groups import load_feature_group

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)


def export_features(deployment: Deployment, group: str, *, partition: str, path: Path) -> FeaturesRef:
    """Write the newest version of a partition's rows to `path`, as parquet or CSV by its extension.

    Columns are those of the group's spec, in its order; rows are sorted by the entity key. A published partition may
    have none.

    Raises
    ------
    UsageError
        If the partition is not published, the extension is another, or the file can't be written.
    """
    spec = load_feature_group(group)
    parse(partition)
    write = writer(path)
    if partition not in deployment.state.publications(spec.table):
        raise UsageError(
            f"{spec.table} in {deployment.lake.uri} has no published partition {partition}; "
            f"build it first (mlops features build --group {group} --date {partition})"
        )
    version = deployment.lake.version(spec.table) or 0
    columns = expected_schema(spec).names
    kept = deployment.lake.read(spec.table, start=partition, end=partition, columns=columns, version=version)
    rows = newest_versions(kept, keys=spec.entity.keys)
    write(rows)
    log.info("export group=%s partition=%s rows=%d path=%s", group, partition, rows.num_rows, path)
    return FeaturesRef(group=group, start=partition, end=partition, version=version, rows=rows.num_rows)
