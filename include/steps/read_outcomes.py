"""Read what was known at the end of a night of the predictions of earlier ones.

What belongs here: the newest label that was known, beside the score it is of. What does not: recording labels
(``record_outcomes``), and what is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from include import partitions
from include.adapters.lake.span import Span
from include.monitoring.maturity import MaturityCurve, learn_maturity
from include.quality.sql import column, columns
from include.question.labels import KNOWN_AT, LABEL
from include.scoring.predictions import FEATURE_CREATED, ROLE
from include.tables import outcomes_table, predictions_name

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec

# More rows make an interval no narrower that anybody would notice; an entity is in with all its rows, or out.
ROWS_MAX = 200_000
# Nights that a curve is learned from.
_LEARNED_FROM = 28

_NEWEST = """
    SELECT {keys}, dt, label, known_at
    FROM outcomes
    WHERE dt BETWEEN $first AND $last AND known_at <= $known_until AND md5_number_lower({entity}) % $one_of = 0
    QUALIFY row_number() OVER (PARTITION BY {keys}, dt ORDER BY known_at DESC) = 1
"""
_BESIDE_SCORES = """
SELECT scored.*, newest.label, newest.known_at
FROM (SELECT {kept} FROM scored WHERE md5_number_lower({entity}) % $one_of = 0) AS scored
LEFT JOIN ({newest}) AS newest USING ({keys}, dt)
ORDER BY dt, {keys}, role
"""
_COUNTS = """
SELECT scored.dt, count(*) AS scored, count(newest.label) AS known, count(*) FILTER (newest.label = 1) AS positives
FROM (SELECT DISTINCT {keys}, dt FROM scored) AS scored
LEFT JOIN ({newest}) AS newest USING ({keys}, dt)
GROUP BY scored.dt
ORDER BY scored.dt
"""


def read_labelled(deployment: Deployment, spec: ModelSpec, nights: Sequence[str], *, partition: str) -> pa.Table:
    """Return the predictions of nights beside the labels that were known at the end of a partition.

    Returns
    -------
    pyarrow.Table
        The entity keys, ``dt``, ``role``, ``score``, what follows from it, ``model_version``,
        ``feature_created_timestamp``, ``label`` and ``known_at``; the last two null where the
        label was not known. Of many rows those of some entities, about `ROWS_MAX`. Sorted by night, keys and role.
    """
    kept = [*spec.entity.keys, "dt", ROLE, "score", *spec.predicted, "model_version", FEATURE_CREATED]
    rows = deployment.lake.dataset(predictions_name(spec.model_id), keys=list(nights)).count_rows()
    return _run(deployment, spec, nights, partition, _BESIDE_SCORES, kept=columns(kept), one_of=1 + rows // ROWS_MAX)


def count_known(
    deployment: Deployment, spec: ModelSpec, nights: Sequence[str], *, partition: str
) -> dict[str, tuple[int, int, int]]:
    """Return of each night how many entities were scored, and of how many a label, and a positive one, was known."""
    if not nights:
        return {}
    found = _run(deployment, spec, nights, partition, _COUNTS)
    return {str(row["dt"]): (row["scored"], row["known"], row["positives"]) for row in found.to_pylist()}


def learn_from(deployment: Deployment, spec: ModelSpec, *, partition: str) -> MaturityCurve:
    """Learn how long labels take, from the newest nights whose time was over at the end of a partition."""
    last = partitions.shift(partition, -spec.label.horizon_days)
    first = partitions.shift(last, 1 - _LEARNED_FROM)
    scored = deployment.state.publications(predictions_name(spec.model_id))
    nights = [night for night in scored if first <= night <= last]
    if not nights:
        return learn_maturity(np.array([]), np.array([]))
    rows = read_labelled(deployment, spec, nights, partition=partition)
    at = rows["dt"].cast(pa.timestamp("us", tz="UTC")).to_numpy() + np.timedelta64(1, "D")
    ages = (rows[KNOWN_AT].to_numpy() - at) / np.timedelta64(1, "D")
    return learn_maturity(ages, rows[LABEL].cast(pa.float64()).to_numpy())


def _run(
    deployment: Deployment,
    spec: ModelSpec,
    nights: Sequence[str],
    partition: str,
    statement: str,
    *,
    kept: str = "*",
    one_of: int = 1,
) -> pa.Table:
    """Run a statement on what nights predicted and what had been told about them by the end of a partition."""
    table, until = outcomes_table(spec.model_id, spec.entity.keys, spec.entity.whose), partitions.end_of(partition)
    told: pa.Table | Dataset = table.arrow_schema().empty_table()
    if deployment.lake.exists(table.name):
        told = deployment.lake.dataset(table.name, within=Span(KNOWN_AT, partitions.end_of(min(nights)), until))
    keys, entity = columns(spec.entity.keys), column(spec.entity.keys[0])
    newest = _NEWEST.format(keys=keys, entity=entity)
    return deployment.duckdb.run_select(
        statement.format(keys=keys, entity=entity, newest=newest, kept=kept),
        {"scored": deployment.lake.dataset(predictions_name(spec.model_id), keys=list(nights)), "outcomes": told},
        purpose=f"the outcomes of {spec.model_id}",
        parameters={
            "first": partitions.parse(min(nights)),
            "last": partitions.parse(max(nights)),
            "known_until": until,
            "one_of": one_of,
        },
    )
