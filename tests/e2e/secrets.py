"""What a home keeps from others.

What belongs here: finding it. What does not: who must not see it.
"""

from __future__ import annotations

import json
from pathlib import Path

from include.embedded.logins import passwords_file


def secrets_of(home: Path) -> dict[str, str]:
    """Return what a home keeps out of logs and command lines, by name."""
    secrets = {path.name: path.read_text() for path in (home / "airflow" / "secrets").iterdir()}
    return secrets | json.loads(passwords_file(home).read_text())
