"""Bytes that several processes share for a while, in a Redis.

What belongs here: finding and keeping them, and going on without. What does not: what they are, and whether they are
still fresh.

A cache may be lost at any time: it is never worth an error, nor a wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from include.settings import SERVING_CACHE_URL

log = logging.getLogger(__name__)

# A read of the store itself takes a millisecond; a cache that takes so much longer is none.
_TIMEOUT_S = 0.02
# So long one that does not answer is not asked.
_REST_S = 5.0


class SharedCache:
    """Keeps bytes by key in a Redis; where that does not answer, it has nothing. For one thread.

    Parameters
    ----------
    url : str
    timeout_s : float
        Seconds to wait for it, at most.
    """

    def __init__(self, url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._redis = Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._rests_until = 0.0

    def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return what is kept, by key in their order; None where nothing is."""
        if time.monotonic() >= self._rests_until:
            try:
                return cast("list[bytes | None]", self._redis.mget(keys))
            except (RedisError, OSError) as err:
                self._rest(err)
        return [None] * len(keys)

    def keep(self, values: Mapping[bytes, bytes], *, seconds: float) -> None:
        """Keep bytes for so long, at least a millisecond."""
        if time.monotonic() < self._rests_until:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    pipeline.set(key, value, px=max(1, round(seconds * 1000)))
                pipeline.execute()
        except (RedisError, OSError) as err:
            self._rest(err)

    def _rest(self, err: Exception) -> None:
        log.warning("the cache of online features is done without for %.0f s: %s (%s)", _REST_S, err, SERVING_CACHE_URL)
        self._rests_until = time.monotonic() + _REST_S
