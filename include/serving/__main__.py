"""The online service as a process of its own: a part of a home, or a container.

What belongs here: its start from the environment. What does not: the service (``start``), and `mlops serve`, which
tells a person what it does.
"""

from __future__ import annotations

import logging
import os

from include.adapters.deployment import Deployment
from include.errors import MlopsError
from include.serving.http_routes import Limits
from include.serving.start import make_server, make_service, settle
from include.settings import DEFAULT_SERVING_PORT, Settings
from include.specs.deployed import load_specs

log = logging.getLogger(__name__)


def main() -> None:
    """Answer for every model whose spec can be used, until the process is asked to end."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings.from_env()
    service = make_service(Deployment(settings), list(load_specs().models.values()))
    try:
        service.roster.refresh()
    except MlopsError as err:
        # The ledger is read again and again: it need not be there before the service.
        log.warning("nothing is served yet: %s", err)
    settle()
    port, limits = settings.serving_port or DEFAULT_SERVING_PORT, Limits(in_flight=settings.serving_in_flight)
    make_server(service, host=settings.serving_host, port=port, limits=limits).run()


if __name__ == "__main__":
    main()
