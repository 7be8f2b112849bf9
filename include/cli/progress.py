"""That something is being done, on a terminal.

What belongs here: the sign of life. What does not: what a command says (``narrator``, and the commands).
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext


def progress(what: str) -> AbstractContextManager[object]:
    """Show that something is done, on a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)
