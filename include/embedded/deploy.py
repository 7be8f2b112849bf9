"""The deploy step of the embedded default: bring every database to what the code expects.

What belongs here: migrations and declarations, safe to repeat. What does not: data.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

import sqlalchemy as sa

from include.adapters.deployment import Deployment
from include.adapters.state.database import StateDatabase
from include.settings import Settings
from include.steps.apply_features import apply_features


def main() -> None:
    """Migrate our state, make MLflow's tables, apply the feature repository: all, or what the arguments name."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    deployment = Deployment.from_env()
    for store in sys.argv[1:] or STEPS:
        STEPS[store](deployment)


def migrate_state(settings: Settings) -> None:
    """Migrate our state as its owner, and give the application the rights that it needs and no more."""
    owner = sa.make_url(settings.state_owner_url or settings.database_url)
    app_role = sa.make_url(settings.database_url).username
    url = owner.render_as_string(hide_password=False)
    StateDatabase(url).migrate(app_role if app_role != owner.username else None)


STEPS: dict[str, Callable[[Deployment], None]] = {
    "state": lambda deployment: migrate_state(deployment.settings),
    "mlflow": lambda deployment: deployment.model_registry.initialise(),
    "feast": apply_features,
}

if __name__ == "__main__":
    main()
