"""Feature services: the versioned lists of columns that models read, as their specs say.

What belongs here: Feast feature services. What does not: which columns, which are in the services' YAML.
"""

from __future__ import annotations

from feast import FeatureService

# A module, not its names: Feast takes an object that it finds in two modules for two objects.
import feature_repo.feature_views as feature_views  # noqa: TID251
from include.specs.deployed import load_specs

SERVICES = {
    spec.service: FeatureService(
        name=spec.service,
        description=spec.description,
        owner=spec.owner,
        features=[feature_views.VIEWS[group][list(columns)] for group, columns in spec.features.items()],
    )
    for spec in load_specs().services.values()
}

globals().update(SERVICES)
