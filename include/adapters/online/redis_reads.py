"""Reading features from a Redis server, in Feast's layout.

What belongs here: the read and its connection. What does not: writing, whose guard is in the server
(``guarded_redis``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, cast

from redis import ConnectionPool

from include.adapters.online.redis_layout import RedisLayout, bulk, guarded_created_us
from include.adapters.online.stored_columns import Fetch, StoredColumn, ViewColumns
from include.adapters.online.stored_values import timestamp_us


class Connection(Protocol):
    """The slice of a redis-py connection that is used: bytes of commands out, replies in."""

    def send_packed_command(self, command: Sequence[bytes]) -> None:
        """Send commands that are bytes already."""

    def read_response(self, disable_decoding: bool = False) -> Any:
        """Return the next reply."""

    def disconnect(self) -> None:
        """Close it."""


@contextmanager
def pooled_connection(pool: ConnectionPool) -> Iterator[Connection]:
    """Take a connection of a pool for a conversation; one that broke off in it is not used again."""
    connection = pool.get_connection()
    try:
        yield cast("Connection", connection)
    except BaseException:
        # Replies may still be on their way: they must not answer the next command.
        connection.disconnect()  # type: ignore[no-untyped-call]
        raise
    finally:
        pool.release(connection)


def prepare_redis_read(
    connect: Callable[[], AbstractContextManager[Connection]], project: str, wanted: Sequence[ViewColumns]
) -> Fetch:
    """Return a read of one pipeline: an HMGET per key, all views' fields in it."""
    layouts = [RedisLayout(project, columns.view) for columns in wanted]
    fields = [
        field
        for layout, columns in zip(layouts, wanted, strict=True)
        for field in (*map(layout.feature_field, columns.features), layout.stamp_field, layout.guard_field)
    ]
    head = b"*%d\r\n" % (2 + len(fields)) + bulk(b"HMGET")
    tail = b"".join(map(bulk, fields))
    ends = project.encode()
    nothing = [[StoredColumn() for _ in columns.features] for columns in wanted]

    def fetch(keys: Sequence[bytes]) -> list[list[StoredColumn]]:
        with connect() as connection:
            connection.send_packed_command([b"".join([head + bulk(key + ends) + tail for key in keys])])
            rows = [connection.read_response(disable_decoding=True) for _ in keys]
        return _split(rows, [len(columns.features) for columns in wanted]) if rows else nothing

    fetch([b""])
    return fetch


def _split(rows: Sequence[Sequence[bytes | None]], widths: Sequence[int]) -> list[list[StoredColumn]]:
    columns = list(zip(*rows, strict=True))
    found: list[list[StoredColumn]] = []
    at = 0
    for width in widths:
        stamps, guards = columns[at + width], columns[at + width + 1]
        # Rows that were materialised together have their times in common.
        times = {stamp: timestamp_us(stamp) for stamp in set(stamps) if stamp is not None}
        events = [None if stamp is None else times[stamp] for stamp in stamps]
        read = list(zip(guards, events, strict=True))
        known = {each: _created_us(*each) for each in set(read)}
        created = [known[each] for each in read]
        found.append([StoredColumn(list(column), events, created) for column in columns[at : at + width]])
        at += width + 2
    return found


def _created_us(guard: bytes | None, event_us: int | None) -> int | None:
    return None if event_us is None else guarded_created_us(guard, event_us)
