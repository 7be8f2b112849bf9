"""Who is let in: by which key, to which model, how often.

What belongs here: the verdict on a request's key. What does not: keys (``api_keys``), and what a request asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from include.errors import MlopsError
from include.serving.api_keys import ApiKey, ApiKeys
from include.serving.refusal import Refusal

# Seconds' worth of requests that may come at once.
_BURST_S = 2.0
_UNREADABLE_RETRY_S = 30
_UNREADABLE = "the service can't read its keys; whoever runs it must put them right"
_BEARER = b"bearer "


@dataclass
class _Bucket:
    tokens: float
    filled_at: float


class Door:
    """Lets requests in.

    Parameters
    ----------
    keys : ApiKeys
    is_open : bool
        Whether anybody is let in until a first key is made: where only this machine can ask. A file of keys that goes
        away opens nothing.
    """

    def __init__(self, keys: ApiKeys, *, is_open: bool) -> None:
        self._keys = keys
        self._is_open = is_open
        self._is_blind = False
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, headers: Iterable[tuple[bytes, bytes]], model_id: str | None, *, looks: bool = True) -> None:
        """Let a request in, or raise why not.

        Parameters
        ----------
        headers : iterable of (bytes, bytes)
            Lower-case names. A key stands in ``authorization: Bearer …`` or ``x-api-key``.
        model_id : str or None
            What is asked; None of what is no model's.
        looks : bool
            Whether keys may have changed since somebody asked before: not for who asks at the same time.

        Raises
        ------
        Refusal
            401 without a valid key, 403 with one of other models, 429 with one that asks too often, 503 where the keys
            can't be read.
        """
        if looks:
            self._look()
        if self._is_open:
            return
        key = self._find(headers)
        if key.models is not None and model_id is not None and model_id not in key.models:
            raise Refusal(403, "other_models", f"key {key.key_id} is for {', '.join(key.models)}, not for {model_id!r}")
        self._count(key)

    def _look(self) -> None:
        self._is_blind = False
        try:
            was_made = self._keys.look()
        except MlopsError:
            was_made = self._is_blind = True
        self._is_open = self._is_open and not was_made

    def _find(self, headers: Iterable[tuple[bytes, bytes]]) -> ApiKey:
        presented = _presented(headers)
        if presented is None:
            raise Refusal(
                401, "no_key", "a key is needed: authorization: Bearer KEY, or x-api-key: KEY (mlops serving keys add)"
            )
        if self._is_blind:
            raise Refusal(503, "keys_unreadable", _UNREADABLE, retry_after_s=_UNREADABLE_RETRY_S)
        key = self._keys.find(presented)
        if key is None:
            raise Refusal(401, "unknown_key", "the key is not known here")
        if (said := key.tell_invalid(datetime.now(UTC))) is not None:
            raise Refusal(401, "invalid_key", f"{said}; ask for another one")
        return key

    def _count(self, key: ApiKey) -> None:
        now, most = time.monotonic(), key.per_second * _BURST_S
        bucket = self._buckets.setdefault(key.key_id, _Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + (now - bucket.filled_at) * key.per_second)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            raise Refusal(
                429,
                "too_often",
                f"key {key.key_id} may ask {key.per_second} times a second; wait, or ask about several at once",
                retry_after_s=1,
            )
        bucket.tokens -= 1.0


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].strip().decode("latin-1")
        if name == b"x-api-key":
            return value.strip().decode("latin-1")
    return None
