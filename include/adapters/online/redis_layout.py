"""Where Feast keeps a view in the hashes of a Redis server, and where this project keeps the guard beside it.

What belongs here: names of fields, and the bytes of a guard. What does not: commands.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import mmh3


@dataclass(frozen=True)
class RedisLayout:
    """Where Feast keeps a view in its hashes.

    Attributes
    ----------
    project : str
        Ends every key.
    view : str
        The view's name, with its version where Feast counts versions.
    """

    project: str
    view: str

    @property
    def stamp_field(self) -> bytes:
        """Field of the event time."""
        return f"_ts:{self.view}".encode()

    @property
    def guard_field(self) -> bytes:
        """Field of the exact event and created time; not Feast's."""
        return f"_guard:{self.view}".encode()

    def feature_field(self, feature: str) -> bytes:
        """Field of a feature."""
        return struct.pack("<I", mmh3.hash(f"{self.view}:{feature}", signed=False))


def bulk(text: bytes) -> bytes:
    """Return one argument of a command, as Redis reads it."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def guarded_created_us(guard: bytes | None, event_us: int) -> int | None:
    """Return the created time that a guard holds; None where it belongs to another event time, or is absent."""
    if guard is None:
        return None
    event, created = struct.unpack(">dd", guard)
    return int(created) if int(event) == event_us else None
