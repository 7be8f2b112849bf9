"""A group's statement: its SQL file, or, where its columns say what of a prediction they are, the one that follows.

What belongs here: the text that an engine is given. What does not: running it, and which rows it may give (``checks``).
"""

from __future__ import annotations

from include.specs.groups import FeatureGroupSpec

_SQL_TYPES = {"int64": "BIGINT", "float32": "FLOAT", "float64": "DOUBLE", "string": "VARCHAR"}


def statement_of(spec: FeatureGroupSpec) -> str:
    """Return a group's statement.

    Notes
    -----
    Of a group that is written back: the champion's rows of the days asked for. A prediction is a function of features
    that stand at the end of its day, so it stands there too, and is known once they are; a night that is scored again
    from corrected features has a later version.
    """
    if not spec.is_written_back:
        return spec.sql_path.read_text(encoding="utf-8")
    keys = ", ".join(spec.entity.keys)
    values = ",\n    ".join(f"CAST({c.of} AS {_SQL_TYPES[c.dtype]}) AS {c.name}" for c in spec.columns)
    return f"""SELECT
    {keys},
    CAST(dt + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(CAST(dt + 1 AS TIMESTAMPTZ), feature_created_timestamp) AS created_timestamp,
    {values},
    dt
FROM predictions
WHERE role = 'champion' AND dt BETWEEN CAST($start_day AS DATE) AND CAST($end_day AS DATE)
ORDER BY {keys}, event_timestamp, created_timestamp
"""
