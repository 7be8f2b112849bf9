"""API keys: who may ask which model, until when and how often; kept as hashes.

What belongs here: making, keeping, finding and revoking keys. What does not: what a request without one is told
(``door``).

A key is ``mk_ID_SECRET``: 256 random bits, so that a plain SHA-256 of it can't be turned back. The file holds hashes,
belongs to the home's owner alone, and is replaced whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from include.errors import MlopsError, UsageError
from include.home import write_private

_KEY = re.compile(r"mk_([0-9a-f]{8})_([0-9a-f]{64})")
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
# Compared where there is no such key, so that the answer takes as long.
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class ApiKey:
    """One key, as it is kept.

    Attributes
    ----------
    key_id : str
        Eight hexadecimal digits; the part of a key that may be shown.
    client : str
        Who asks with it.
    sha256 : str
        Of the whole key.
    models : tuple of str or None
        What may be asked; None: all.
    per_second : int
        Requests, over some seconds.
    created_at : str
        ISO 8601, UTC.
    expires_at, revoked_at : str or None
    """

    key_id: str
    client: str
    sha256: str
    models: tuple[str, ...] | None
    per_second: int
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None

    def tell_invalid(self, now: datetime) -> str | None:
        """Say why the key is not taken at a time; None where it is."""
        if self.revoked_at is not None:
            return f"key {self.key_id} was revoked at {self.revoked_at}"
        if self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now:
            return f"key {self.key_id} expired at {self.expires_at}"
        return None


class ApiKeys:
    """The keys of a home.

    Parameters
    ----------
    home : Path
    """

    def __init__(self, home: Path) -> None:
        self.path = home / "serving" / "keys.json"
        self._read_as: tuple[int, int, int] | None = None
        self._keys: dict[str, ApiKey] = {}

    def add(
        self, client: str, *, models: Sequence[str] = (), per_second: int = 1000, expires_at: datetime | None = None
    ) -> tuple[str, ApiKey]:
        """Make a key.

        Returns
        -------
        str
            The key itself: it is shown this once, and kept nowhere.
        ApiKey

        Raises
        ------
        UsageError
            If the client's name is none, or the key would be expired already.
        """
        if not _CLIENT.fullmatch(client):
            raise UsageError(f"client {client!r} is no name; write letters, digits and . _ @ -, at most 64")
        now = datetime.now(UTC)
        if expires_at is not None and expires_at <= now:
            raise UsageError(f"a key that expires at {expires_at.isoformat()} is expired already; name a later time")
        key_id = token_hex(4)
        key = f"mk_{key_id}_{token_hex(32)}"
        made = ApiKey(
            key_id,
            client,
            hashlib.sha256(key.encode()).hexdigest(),
            tuple(models) or None,
            per_second,
            now.isoformat(timespec="seconds"),
            None if expires_at is None else expires_at.astimezone(UTC).isoformat(timespec="seconds"),
        )
        with self._alone():
            self._write([*self.all(), made])
        return key, made

    def revoke(self, key_id: str) -> ApiKey:
        """Take a key back, from the next second on; again changes nothing.

        Raises
        ------
        UsageError
            If there is no such key.
        """
        known = [key.key_id for key in self.all()]
        if key_id not in known:
            raise UsageError(f"there is no key {key_id!r}; there are {', '.join(known) or 'none'}")
        with self._alone():
            kept = {key.key_id: key for key in self.all()}
            if kept[key_id].revoked_at is None:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                kept[key_id] = replace(kept[key_id], revoked_at=now)
                self._write(list(kept.values()))
        return kept[key_id]

    def all(self) -> list[ApiKey]:
        """Return every key that was ever made, in order.

        Raises
        ------
        MlopsError
            If the file can't be read: then nobody is let in.
        """
        self.look()
        return list(self._keys.values())

    def exist(self) -> bool:
        """Say whether a key was ever made: from then on nobody is let in without one."""
        return self.path.exists()

    def find(self, presented: str) -> ApiKey | None:
        """Return the key that is presented, as `look` saw it, valid or not; None where there is no such key."""
        match = _KEY.fullmatch(presented)
        kept = self._keys.get(match[1]) if match else None
        digest = hashlib.sha256(presented.encode()).hexdigest()
        is_it = hmac.compare_digest(digest, kept.sha256 if kept is not None else _NOBODY)
        return kept if is_it else None

    def look(self) -> bool:
        """See what the file says now, and say whether a key was ever made.

        Raises
        ------
        MlopsError
            If it can't be read.
        """
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            self._read_as, self._keys = None, {}
            return False
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self._read_as:
            return True
        try:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
            keys = [ApiKey(**{**row, "models": tuple(row["models"]) if row["models"] else None}) for row in rows]
        except (OSError, ValueError, TypeError, KeyError) as err:
            raise MlopsError(
                f"{self.path} can't be read as keys ({type(err).__name__}); nobody is let in until it is put back, or "
                "removed and keys are made anew (mlops serving keys add)"
            ) from err
        self._read_as, self._keys = seen, {key.key_id: key for key in keys}
        return True

    def _write(self, keys: Sequence[ApiKey]) -> None:
        write_private(self.path, json.dumps([asdict(key) for key in keys], indent=1))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
