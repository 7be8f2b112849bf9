"""What a home remembers of how it was made: the overlay of specs, in a file that its owner alone reads.

What belongs here: that file, and writing one that nobody else reads. What does not: which settings a deployment has
(`include.settings`), and what runs in a home (`include.embedded`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from include.errors import UsageError

_OVERLAY = "specs_overlay"


@dataclass(frozen=True)
class HomeSettings:
    """What a home was made with.

    Attributes
    ----------
    specs_overlay : Path or None
        Folder of the YAML files laid over those that ship; None where they hold as they ship.
    """

    specs_overlay: Path | None


def settings_file(home: Path) -> Path:
    """Return where a home keeps what it was made with."""
    return home / "settings.json"


def recall(home: Path) -> HomeSettings | None:
    """Return what a home was made with; None where nobody has made it yet.

    Raises
    ------
    UsageError
        If its file says something else, or the home is somebody else's.
    """
    path = settings_file(home)
    try:
        overlay = json.loads(path.read_text())[_OVERLAY]
        return HomeSettings(None if overlay is None else Path(overlay))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as err:
        raise UsageError(f"{home} is closed to you; set MLOPS_HOME to a folder of your own") from err
    except (ValueError, KeyError, TypeError) as err:
        raise UsageError(
            f"{path} does not say which overlay its home has ({err!r}); write "
            f'{{"{_OVERLAY}": "FOLDER"}} in it, or null in place of the folder'
        ) from err


def remember(home: Path, made_with: HomeSettings) -> None:
    """Write down what a home is made with."""
    overlay = made_with.specs_overlay
    kept = {_OVERLAY: None if overlay is None else str(overlay)}
    write_private(settings_file(home), json.dumps(kept) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file whole, readable by its owner alone from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600, exist_ok=False)
    temporary.write_text(text)
    temporary.replace(path)
