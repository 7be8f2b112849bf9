"""What a command reads from and writes to: its embedded PostgreSQL is up from its first use to the command's end.

What belongs here: tying that server to the command. What does not: starting and stopping it.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from include.settings import Settings

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment, Store
    from include.embedded.commands import CommandPostgres

_NOTED_AFTER_S = 2.0


def open_deployment() -> Deployment:
    """Return the deployment that the environment describes, for the time of the present command."""
    from include.adapters.deployment import Deployment

    settings, command = Settings.from_env(), click.get_current_context()

    @cache
    def server() -> CommandPostgres:
        from include.embedded.commands import CommandPostgres

        made = CommandPostgres(settings)
        command.call_on_close(made.let_go)
        return made

    def reach(store: Store) -> None:
        note = threading.Timer(_NOTED_AFTER_S, _say_that_it_takes_long, [settings.home])
        note.daemon = True
        if _is_watched():
            note.start()
        try:
            server().hold(store)
        finally:
            note.cancel()

    return Deployment(settings, reach=reach)


def _is_watched() -> bool:
    return sys.stderr.isatty()


def _say_that_it_takes_long(home: Path) -> None:
    click.echo(f"starting PostgreSQL in {home}; the first time its databases are made, which takes a while", err=True)
