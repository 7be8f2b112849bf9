"""`mlops serve`: models over HTTP, in the foreground.

What belongs here: the options, and what a person is told. What does not: the service.
"""

from __future__ import annotations

import logging

import click

from include.cli.deployment import open_deployment
from include.errors import UsageError
from include.settings import DEFAULT_SERVING_PORT, home_from_env

_LOCAL = "127.0.0.1"


@click.command()
@click.option("--model", "model_ids", multiple=True, metavar="MODEL", help="Serve this one; again for more. All else.")
@click.option("--port", type=click.IntRange(1, 65535), default=DEFAULT_SERVING_PORT, show_default=True)
def serve(model_ids: tuple[str, ...], port: int) -> None:
    """Answer questions to models over HTTP on 127.0.0.1, by the versions that the ledger has in Production."""
    from include.embedded.ports import is_free
    from include.serving.api_keys import ApiKeys
    from include.serving.start import make_server, open_service, settle
    from include.specs.deployed import load_specs
    from include.specs.models import load_model

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    named = [load_model(model_id) for model_id in dict.fromkeys(model_ids)]
    specs = named or list(load_specs().models.values())
    # What is loaded first would be for nothing, and a home that is new would be left half made.
    if not is_free(port):
        raise UsageError(f"--port {port} is taken; name another one, or stop what listens there")
    service = open_service(open_deployment(), specs)
    for spec in specs:
        lineup, said = service.roster.lineups.get(spec.model_id), service.roster.said[spec.model_id]
        told = f"version {lineup.champion.version.version}" if lineup else said.problem or "nothing in Production yet"
        click.echo(f"  {spec.model_id:16} {told}")
    who = "who has a key" if ApiKeys(home_from_env()).exist() else "anybody on this machine, as there are no keys"
    click.echo(f"  asked by         {who}")
    click.echo(f"  documents        http://{_LOCAL}:{port}/docs\n\nCtrl-C stops it.")
    settle()
    make_server(service, host=_LOCAL, port=port).run()
