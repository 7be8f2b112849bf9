"""Where features come from: one Delta table of the lake per feature group.

What belongs here: Feast data sources. What does not: where the lake is, which is a setting.
"""

from __future__ import annotations

from feast import FileSource
from feast.data_format import DeltaFormat

from include.specs.deployed import load_specs

SOURCES = {
    spec.group: FileSource(
        name=f"{spec.group}_source",
        # A table's name, not a path: the offline store puts the lake's address before it.
        path=spec.table,
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created_timestamp",
    )
    for spec in load_specs().groups.values()
}

globals().update({source.name: source for source in SOURCES.values()})
