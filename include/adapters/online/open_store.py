"""The online store of an address, opened for reading without Feast, and the cache beside it.

What belongs here: which read an address means, and its connection. What does not: what a store is asked (its own
module), and writing, which goes through Feast's classes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from include.adapters.online.stored_columns import Fetch, StoredColumn, ViewColumns
from include.errors import MlopsError, UsageError
from include.settings import SERVING_CACHE_URL

if TYPE_CHECKING:
    from include.adapters.online.shared_cache import SharedCache
    from include.settings import Settings

Prepare: TypeAlias = Callable[[Sequence[ViewColumns]], Fetch]

# Feast's own default.
_SCHEMA = "public"
_BUSY_S = 1.0


class OnlineStoreDownError(MlopsError):
    """The online store can't be asked; it may be again in a moment."""


def open_online_store(url: str, *, project: str, timeout_s: float) -> Prepare:
    """Return what prepares reads of the store at an address, for one thread.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://``, ``postgresql+psycopg://`` or ``sqlite:///``; as MLOPS_FEAST_ONLINE_URL.
    project : str
        Feast's project.
    timeout_s : float
        Seconds to wait for the store, at most; after it a read fails. A connection that broke is opened anew at the
        next read.

    Raises
    ------
    UsageError
        If there is no such store.
    OnlineStoreDownError
        Raised by preparing and by reading: the store does not answer.
    """
    for schemes, opened in ((("redis", "rediss"), _redis), (("postgresql",), _postgres), (("sqlite",), _sqlite)):
        if url.partition("://")[0].partition("+")[0] in schemes:
            return _explained(opened(url, project, timeout_s))
    raise UsageError(
        f"MLOPS_FEAST_ONLINE_URL={url.partition('://')[0]}://… is no online store; write redis://, rediss://, "
        "postgresql+psycopg:// or sqlite:///"
    )


def _redis(url: str, project: str, timeout_s: float) -> Prepare:
    from redis import ConnectionPool
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    from include.adapters.online.redis_reads import pooled_connection, prepare_redis_read

    pool = ConnectionPool.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
    )
    return partial(prepare_redis_read, partial(pooled_connection, pool), project)


def _postgres(url: str, project: str, timeout_s: float) -> Prepare:
    import psycopg

    from include.adapters.online.postgres_reads import prepare_postgres_read

    opened: list[psycopg.Connection] = []

    def connect() -> psycopg.Connection:
        if not opened or opened[0].closed:
            opened[:] = [
                psycopg.connect(
                    url.replace("postgresql+psycopg://", "postgresql://", 1),
                    autocommit=True,
                    connect_timeout=max(2, round(timeout_s)),
                    # The server's own bound, and the network's where the server is gone without a word.
                    options=f"-c statement_timeout={max(1, round(timeout_s * 1000))}",
                    tcp_user_timeout=max(1, round(timeout_s * 1000)),
                )
            ]
        return opened[0]

    return partial(prepare_postgres_read, connect, _SCHEMA, project)


def _sqlite(url: str, project: str, timeout_s: float) -> Prepare:
    from include.adapters.online.sqlite_reads import prepare_sqlite_read

    path = Path(url.partition("sqlite:///")[2])
    if not path.is_file():
        raise OnlineStoreDownError(f"the online store has no file {path}; feature_repo was not applied (make up does)")
    connection = sqlite3.connect(path.as_uri() + "?mode=ro", uri=True, timeout=_BUSY_S, check_same_thread=False)
    return partial(prepare_sqlite_read, connection, project)


def _explained(prepare: Prepare) -> Prepare:
    def prepared(wanted: Sequence[ViewColumns]) -> Fetch:
        with _store_errors():
            fetch = prepare(wanted)

        def explained(keys: Sequence[bytes]) -> list[list[StoredColumn]]:
            with _store_errors():
                return fetch(keys)

        return explained

    return prepared


def shared_cache_url(settings: Settings) -> str:
    """Return where processes share what they read online.

    Raises
    ------
    UsageError
        If there is no such Redis, or the online store is one: it answers as fast as a cache of it would.
    """
    if settings.feast_online_url.startswith(("redis://", "rediss://")):
        raise UsageError(
            "serving.cache_in: redis keeps what a slower online store answers, and MLOPS_FEAST_ONLINE_URL is a Redis "
            "itself; write cache_in: process"
        )
    if settings.serving_cache_url is None:
        raise UsageError(
            f"serving.cache_in: redis needs {SERVING_CACHE_URL}, which is not set; write redis://host:6379/1, or "
            "cache_in: process"
        )
    return settings.serving_cache_url


def open_shared_cache(settings: Settings) -> SharedCache:
    """Return the cache that processes share, for one thread; raises as `shared_cache_url` does."""
    from include.adapters.online.shared_cache import SharedCache

    return SharedCache(shared_cache_url(settings))


@contextmanager
def _store_errors() -> Iterator[None]:
    import psycopg
    from redis.exceptions import RedisError

    try:
        yield
    except (psycopg.Error, RedisError, sqlite3.Error, OSError) as err:
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise OnlineStoreDownError(f"the online store does not answer: {reason} (MLOPS_FEAST_ONLINE_URL)") from err
