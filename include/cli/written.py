"""Files that a command writes for a person: a page or a picture where they said, and what it says of those to correct.

What belongs here: writing what is at hand as text, and that one answer, as text and as JSON. What does not: what is in
them.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from pathlib import Path

import click

from include.errors import UsageError

# A folder that keeps no files of ours, or not of that name; what else a disk says is told of any file.
_NO_FILE = (errno.ENOENT, errno.ENAMETOOLONG, errno.EINVAL)


def write_text(path: Path, text: str) -> None:
    """Write a file that a person named.

    Raises
    ------
    UsageError
        If there can be none of that name.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        if err.errno not in _NO_FILE:
            raise
        raise UsageError(f"{path} can't be written: {err.strerror}; name another file") from err


def tell_written(written: Sequence[Path], *, to_read: Sequence[str], following: Sequence[str], as_json: bool) -> None:
    """Print what was written, what to look at first, and the commands that come next."""
    if as_json:
        click.echo(json.dumps({"written": [str(path) for path in written], "to_read": to_read, "next": following}))
        return
    click.echo("\n".join([*(f"wrote {path}" for path in written), *to_read, "next:"]))
    click.echo("\n".join(f"  {command}" for command in following))
