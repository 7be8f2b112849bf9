"""Which version answers an entity: a part of all, the same one each time.

What belongs here: the hash. What does not: which versions there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

# 2**64: a digest of eight bytes is a place on [0, 1).
_WHOLE = float(1 << 64)


def canary_salt(model_id: str, champion: int, challenger: int) -> bytes:
    """Return what makes a test of two versions deal its entities anew, and the same test always alike."""
    return f"{model_id}/{champion}/{challenger}".encode()


def is_canary(keys: Sequence[str], *, share: float, salt: bytes) -> bool:
    """Say whether an entity is answered by the version that is tried.

    Parameters
    ----------
    keys : sequence of str
        The entity's, in their order; of a ranking those of the list.
    share : float
        Of all entities, in [0, 1].
    salt : bytes
        Of the test, see `canary_salt`.

    Examples
    --------
    A part is a part of any larger one: who is in it stays in it.

    >>> salt = canary_salt("churn", 1, 2)
    >>> small = {n for n in range(1000) if is_canary([str(n)], share=0.05, salt=salt)}
    >>> large = {n for n in range(1000) if is_canary([str(n)], share=0.2, salt=salt)}
    >>> small < large
    True
    >>> is_canary(["1"], share=0.0, salt=salt), is_canary(["1"], share=1.0, salt=salt)
    (False, True)
    """
    if share <= 0.0:
        return False
    # Lengths before texts: ("a", "bc") is not ("ab", "c").
    text = b"".join(b"%d:%b" % (len(key), key) for key in (part.encode() for part in keys))
    digest = hashlib.blake2b(text, digest_size=8, key=hashlib.sha256(salt).digest()).digest()
    return int.from_bytes(digest, "big") / _WHOLE < share
