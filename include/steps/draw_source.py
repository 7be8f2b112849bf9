"""Draw rows of a source at the edges of what its rules take.

What belongs here: asking the rules. What does not: the rows (`include.quality.extremes`), and what is tried on them.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.quality.extremes import draw_rows
from include.quality.formats import typed_sql
from include.quality.judged import taken_sql
from include.quality.sql import columns
from include.quality.verdict import verdict_sql
from include.specs.source_formats import CANONICAL
from include.specs.sources import SourceSpec


def draw_source(
    spec: SourceSpec, compute: DuckDbCompute, rng: np.random.Generator, *, tries: int, until: datetime
) -> pa.Table:
    """Return drawn rows that the rules of their source take, in the columns of its table, and ``_try``.

    Parameters
    ----------
    tries, until
        As of `include.quality.extremes.draw_rows`; half of the rows or so are taken.
    """
    drawn = draw_rows(spec, rng, tries=tries, until=until)
    given = [name for name in drawn.column_names if not name.startswith("_")]
    listed = columns(tuple(spec.raw.schema))
    with compute.open_session(purpose=f"the verdict on rows of {spec.source}") as con:
        con.register("drawn", drawn)
        typed = typed_sql(spec, CANONICAL, present=given, naive=[], time_zone=spec.time_zone, relation="drawn")
        con.execute(f"CREATE TABLE typed AS SELECT 0 AS _file, * FROM ({typed})")
        con.execute(f"CREATE TABLE judged AS {verdict_sql(spec, as_of=until, delivered_by=None)}")
        return con.sql(
            f"SELECT {listed}, _try FROM ({taken_sql(spec, delivered_by=None)}) JOIN (SELECT _row, _try FROM drawn) "
            "USING (_row) ORDER BY _row"
        ).to_arrow_table()
