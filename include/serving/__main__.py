"""The online service as a process of its own: a part of a home, or a container.

What belongs here: its start from the environment. What does not: the service (``start``), and `mlops serve`, which
tells a person what it does.
"""

from __future__ import annotations

import logging
import os
import socket
import sys

from include.adapters.deployment import Deployment
from include.errors import MlopsError, UsageError
from include.serving.http_routes import Limits
from include.serving.start import make_server, make_service, settle
from include.settings import DEFAULT_SERVING_PORT, Settings
from include.specs.deployed import load_specs

log = logging.getLogger(__name__)


def main() -> int:
    """Answer for every model whose spec can be used, until the process is asked to end; return its exit code."""
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        _serve(Settings.from_env())
    except MlopsError as err:
        log.error("%s", err)
        return err.exit_code
    return 0


def _serve(settings: Settings) -> None:
    port, limits = settings.serving_port or DEFAULT_SERVING_PORT, Limits(in_flight=settings.serving_in_flight)
    # What is loaded first would be for nothing.
    _require_free(settings.serving_host, port)
    service = make_service(Deployment(settings), list(load_specs().models.values()))
    try:
        service.roster.refresh()
    except MlopsError as err:
        # The ledger is read again and again: it need not be there before the service.
        log.warning("nothing is served yet: %s", err)
    server = make_server(service, host=settings.serving_host, port=port, limits=limits)
    settle()
    server.run()


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the server does: connections of the process before that linger are no one's.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as err:
            raise UsageError(
                f"{host}, port {port}: {err.strerror}; set MLOPS_SERVING_PORT or MLOPS_SERVING_HOST to others, or stop "
                "what listens there"
            ) from err


if __name__ == "__main__":
    sys.exit(main())
