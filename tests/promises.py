"""What a group's YAML promises, asked of rows that a statement returned."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.expectations.feature_expectations import BoundsTally
from include.features.checks import find_violations
from include.specs.groups import FeatureGroupSpec


def broken_promises(rows: pa.Table, spec: FeatureGroupSpec) -> list[str]:
    """Return every promise that is broken: schema, keys, bounds, and nulls where none are allowed."""
    found = [str(violation) for violation in find_violations(rows, spec)]
    tally = BoundsTally(spec)
    tally.add(rows)
    found += [str(check) for check in tally.checks() if not check.passed]
    return found + [c.name for c in spec.columns if not c.nulls_max and pc.sum(pc.is_null(rows[c.name])).as_py()]
