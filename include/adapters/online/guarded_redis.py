"""Feast's Redis online store with a guard in the server: an older row never replaces a newer one.

What belongs here: Feast's interface and this project's, on connections to Redis. What does not: the script and its
commands (``redis_guard``).

Feast's own store compares in one pipeline and writes in another, and doesn't know created times. Everything written
through this class, by Feast's commands too, passes the script.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import pyarrow as pa
from feast import FeatureView
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig
from feast.repo_config import RepoConfig
from pydantic import model_validator
from redis import Redis
from redis import asyncio as redis_asyncio

from include.adapters.online.keys import KeyPart
from include.adapters.online.online_store import Progress
from include.adapters.online.redis_guard import load_script, write_calls
from include.adapters.online.redis_layout import RedisLayout
from include.adapters.online.redis_reads import Connection, pooled_connection, prepare_redis_read
from include.adapters.online.rows import EncodedRows, Message, encode_messages, encode_rows
from include.adapters.online.stored_columns import Fetch, ViewColumns

log = logging.getLogger(__name__)

# Rows that are encoded, sent and answered together: some MB.
_ROWS_PER_FLIGHT = 10_000
# Keys that the server looks at before it serves others.
_KEYS_PER_SCAN = 1000


class GuardedRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]
    """Feast's Redis settings with one ``url`` (redis:// or rediss://) in place of its connection string.

    ``skip_dedup`` is without effect: comparing costs no round trip here.
    """

    type: Literal["include.adapters.online.guarded_redis.GuardedRedisOnlineStore"] = (
        "include.adapters.online.guarded_redis.GuardedRedisOnlineStore"
    )
    url: str

    @model_validator(mode="before")
    @classmethod
    def _is_one_server(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, only in (("redis_type", "redis"), ("client", "redis")):
            if values.get(name, only) != only:
                raise ValueError(
                    f"{name}={values[name]!r}: the guarded store speaks to one Redis server, write {only!r}"
                )
        return values


class GuardedRedisOnlineStore(RedisOnlineStore):  # type: ignore[misc]
    """Redis online store that compares (event, created) inside the server."""

    _client: Redis | None = None
    _client_async: redis_asyncio.Redis | None = None

    def write_rows(self, config: RepoConfig, view: FeatureView, rows: pa.Table, progress: Progress | None) -> None:
        """Write a table's rows by the script, in flights of some thousand."""
        # Any order will do: the script compares the versions of a key with each other.
        chunks = encode_rows(view, rows, size=_ROWS_PER_FLIGHT, in_key_order=False, with_texts=False)
        self._write(config, view, chunks, progress)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Message],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write Feast's rows by the script."""
        self._write(config, table, encode_messages(data, key_version=config.entity_key_serialization_version), progress)

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[Message],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write Feast's rows by the script, off the event loop."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def prepare_read(self, config: RepoConfig, wanted: Sequence[ViewColumns]) -> Fetch:
        """Return a read of one pipeline: an HMGET per key, all views' fields in it."""
        return prepare_redis_read(lambda: self._connection(config), config.project, wanted)

    def find_keys(self, config: RepoConfig, views: Sequence[FeatureView], part: KeyPart) -> list[bytes]:
        """Return the keys of the entity that have a part, whatever views they are of; all keys there are are read."""
        project = config.project.encode()
        pattern = b"".join((_literal(part.head), b"*", _literal(part.stored), b"*", _literal(project)))
        found = self._get_client(config.online_store).scan_iter(match=pattern, count=_KEYS_PER_SCAN)
        return sorted(filter(part.is_in, {address.removesuffix(project) for address in found}))

    def forget(self, config: RepoConfig, views: Sequence[FeatureView], keys: Sequence[bytes]) -> dict[str, int]:
        """Delete the keys' hashes: they hold all views of the entity, and what dropped views left behind."""
        stamps = [_layout(config, view).stamp_field for view in views]
        removed = [0] * len(views)
        with self._get_client(config.online_store).pipeline(transaction=True) as pipe:
            for key in keys:
                address = key + config.project.encode()
                for stamp in stamps:
                    pipe.hexists(address, stamp)  # type: ignore[arg-type]
                pipe.delete(address)
                *held, _ = pipe.execute()
                removed = [count + found for count, found in zip(removed, held, strict=True)]
        return {view.name: count for view, count in zip(views, removed, strict=True)}

    def _write(
        self, config: RepoConfig, view: FeatureView, chunks: Iterable[EncodedRows], progress: Progress | None
    ) -> None:
        layout = _layout(config, view)
        ttl_seconds = config.online_store.key_ttl_seconds or 0
        with self._connection(config) as connection:
            for rows in chunks:
                calls = list(write_calls(layout, rows, ttl_seconds=ttl_seconds))
                # Loaded with every flight: a server that was restarted in between doesn't know the script.
                connection.send_packed_command([b"".join([load_script(), *calls])])
                replies = [connection.read_response() for _ in range(1 + len(calls))]
                log.debug("redis view=%s rows=%d written=%d", view.name, len(rows), sum(replies[1:]))
                if progress:
                    progress(len(rows))

    def _connection(self, config: RepoConfig) -> AbstractContextManager[Connection]:
        return pooled_connection(self._get_client(config.online_store).connection_pool)

    def _get_client(self, online_store_config: GuardedRedisOnlineStoreConfig) -> Redis:
        if self._client is None:
            self._client = Redis.from_url(online_store_config.url)
        return self._client

    async def _get_client_async(self, online_store_config: GuardedRedisOnlineStoreConfig) -> redis_asyncio.Redis:
        if self._client_async is None:
            self._client_async = redis_asyncio.Redis.from_url(online_store_config.url)
        return self._client_async


def _literal(text: bytes) -> bytes:
    """Return a pattern of Redis that is met by these bytes only."""
    return re.sub(rb"([*?\[\]\\])", rb"\\\1", text)


def _layout(config: RepoConfig, view: FeatureView) -> RedisLayout:
    versioned = config.registry.enable_online_feature_view_versioning
    return RedisLayout(config.project, compute_versioned_name(view, versioned))
