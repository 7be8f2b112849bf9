"""What a command says of files that it wrote for a person to read and correct.

What belongs here: that one answer, as text and as JSON. What does not: writing them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click


def tell_written(written: Sequence[Path], *, to_read: Sequence[str], following: Sequence[str], as_json: bool) -> None:
    """Print what was written, what to look at first, and the commands that come next."""
    if as_json:
        click.echo(json.dumps({"written": [str(path) for path in written], "to_read": to_read, "next": following}))
        return
    click.echo("\n".join([*(f"wrote {path}" for path in written), *to_read, "next:"]))
    click.echo("\n".join(f"  {command}" for command in following))
