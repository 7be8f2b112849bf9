"""Entity keys as callers give them, one at a time, and the bytes that stores keep of them.

What belongs here: checking and serialising a key, and telling whether a stored one has a value among its parts. What
does not: whole columns of keys (``encoding``), and looking for keys in a store (its own module).

Feast's bytes are the names of the join keys, sorted, and then of each its value with type and length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, cast

from include.adapters.online.stored_values import KEY_TEXT, key_head
from include.errors import UsageError

# A string for one join key; for several a tuple with a string for each, in their order.
Key: TypeAlias = str | tuple[str, ...]

_size = struct.Struct("<I").pack
_TYPE_AND_SIZE = struct.Struct("<II")


@dataclass(frozen=True)
class KeyPart:
    """A value of one of an entity's join keys.

    Attributes
    ----------
    join_keys : tuple of str
        All that the entity has.
    name : str
        One of them.
    value : str
        Its value.
    """

    join_keys: tuple[str, ...]
    name: str
    value: str

    @cached_property
    def head(self) -> bytes:
        """What every serialised key of the entity begins with."""
        return key_head(self.join_keys)

    @cached_property
    def stored(self) -> bytes:
        """What is in every serialised key that has the value, and may by chance be in others."""
        return _text(self.value)

    def is_in(self, key: bytes) -> bool:
        """Say whether this is a serialised key of the entity, whole, that has the value at its place."""
        if not key.startswith(self.head):
            return False
        at, parts = len(self.head), []
        while at + _TYPE_AND_SIZE.size <= len(key):
            end = at + _TYPE_AND_SIZE.size + _TYPE_AND_SIZE.unpack_from(key, at)[1]
            parts.append(key[at:end])
            at = end
        is_whole = at == len(key) and len(parts) == len(self.join_keys)
        return is_whole and parts[sorted(self.join_keys).index(self.name)] == self.stored


def key_encoder(join_keys: tuple[str, ...], *, of: Collection[str] | None = None) -> Callable[[Key], bytes]:
    """Return what serialises one key of strings, or of its parts those of some join keys, as Feast's version 3 does."""
    names = sorted(join_keys if of is None else of)
    head = key_head(names)
    if len(join_keys) == 1:
        head += KEY_TEXT

        def encode_one(key: str) -> bytes:
            stored = key.encode()
            return head + _size(len(stored)) + stored

        return cast("Callable[[Key], bytes]", encode_one)
    places = [join_keys.index(name) for name in names]
    return lambda key: head + b"".join([_text(key[place]) for place in places])


def check_keys(keys: Sequence[Key], join_keys: tuple[str, ...]) -> None:
    """Refuse keys that aren't strings or, for several join keys, tuples of one for each.

    Raises
    ------
    UsageError
        Naming the first one, and what it is.
    """
    if isinstance(keys, str):
        raise UsageError(f"keys is the string {keys!r}; pass a list of {', '.join(join_keys)} values, e.g. [{keys!r}]")
    if len(join_keys) == 1:
        for key in keys:
            if not isinstance(key, str):
                raise _no_string(key, join_keys[0])
        return
    for key in keys:
        if not isinstance(key, tuple) or len(key) != len(join_keys):
            raise UsageError(f"key {key!r} is not a tuple of {len(join_keys)} strings; pass {', '.join(join_keys)}")
        for value, name in zip(key, join_keys, strict=True):
            if not isinstance(value, str):
                raise _no_string(value, name)


def _no_string(value: object, join_key: str) -> UsageError:
    return UsageError(
        f"{join_key} {value!r} is of type {type(value).__name__}; keys are opaque strings, as in the raw orders: "
        "pass '17850', not 17850 or 17850.0"
    )


def _text(value: str) -> bytes:
    stored = value.encode()
    return KEY_TEXT + _size(len(stored)) + stored
