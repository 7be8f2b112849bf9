"""Feature views: one per feature group, column for column as its spec says.

What belongs here: Feast feature views. What does not: columns, which are added in the group's YAML and SQL.
"""

from __future__ import annotations

from datetime import timedelta

from feast import FeatureView, Field
from feast.types import Float32, Float64, Int64, String

# Modules, not names: Feast takes an object that it finds in two modules for two objects.
import feature_repo.entities as entities  # noqa: TID251
import feature_repo.sources as sources  # noqa: TID251
from include.specs.deployed import load_specs
from include.specs.groups import FeatureGroupSpec

_TYPES = {"int64": Int64, "float32": Float32, "float64": Float64, "string": String}


def _view(spec: FeatureGroupSpec) -> FeatureView:
    return FeatureView(
        name=spec.group,
        description=spec.description,
        owner=spec.owner,
        entities=[entities.ENTITIES[name] for name in entities.names_of(spec.entity)],
        ttl=timedelta(days=spec.ttl_days),
        schema=[
            *(Field(name=key, dtype=String) for key in spec.entity.keys),
            *(
                Field(
                    name=column.name,
                    dtype=_TYPES[column.dtype],
                    description=column.meaning,
                    tags={"unit": column.unit},
                )
                for column in spec.columns
            ),
        ],
        source=sources.SOURCES[spec.group],
        online=True,
    )


VIEWS = {spec.group: _view(spec) for spec in load_specs().groups.values()}

globals().update(VIEWS)
