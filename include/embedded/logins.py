"""Who logs in to the embedded Airflow: a password of their own for each user, in a file that only its owner reads.

What belongs here: making and reading that file, before Airflow would make it and print what it wrote. What does not:
who the users are, which is a setting.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from include.errors import MlopsError
from include.home import write_private
from include.settings import Settings, User


def passwords_file(home: Path) -> Path:
    """Return where Airflow looks for its users' passwords."""
    return home / "airflow" / "simple_auth_manager_passwords.json.generated"


def write_passwords(home: Path, users: Sequence[User]) -> None:
    """Give each user who has none a password; those that are there stay."""
    path = passwords_file(home)
    known = json.loads(path.read_text() or "{}") if path.exists() else {}
    made = {user.name: secrets.token_urlsafe(16) for user in users if user.name not in known}
    write_private(path, json.dumps({**known, **made}) + "\n")


def read_password(home: Path, user: str = "admin") -> str:
    """Return the password that was generated for a user of this home."""
    path = passwords_file(home)
    if not path.exists():
        raise MlopsError(f"there is no login at {path}; start Airflow first with make up")
    known = json.loads(path.read_text())
    if user not in known:
        raise MlopsError(f"{path} has no password of {user}; name {user} in MLOPS_USERS and start Airflow anew")
    return str(known[user])


def first_admin(users: Sequence[User]) -> str:
    """Return the name under which the start and the demo log in themselves."""
    return next(user.name for user in users if user.role == "admin")


def main() -> None:
    """Write the passwords of the users that the environment names."""
    settings = Settings.from_env()
    write_passwords(settings.home, settings.users)


if __name__ == "__main__":
    main()
