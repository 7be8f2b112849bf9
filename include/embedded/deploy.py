"""The deploy step of the embedded default: bring every database to what the code expects.

What belongs here: migrations and declarations, safe to repeat. What does not: data.
"""

from __future__ import annotations

import logging
import sys

from include.adapters.deployment import Deployment
from include.steps.apply_features import apply_features


def main() -> None:
    """Migrate our state, initialise MLflow's database, apply the feature repository."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    deployment = Deployment.from_env()
    deployment.state.migrate()
    deployment.model_registry.initialise()
    apply_features(deployment)


if __name__ == "__main__":
    main()
