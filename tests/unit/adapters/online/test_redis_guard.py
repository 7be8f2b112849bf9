"""The calls that carry rows to Redis, read back by Redis's own parser, and what the guard remembers."""

from __future__ import annotations

import hashlib
import struct

import hiredis
import pyarrow as pa
import pytest
from feast.infra.online_stores.helpers import _mmh3

from include.adapters.online.encoding import timestamp_bytes
from include.adapters.online.redis_guard import SCRIPT, write_calls
from include.adapters.online.redis_layout import RedisLayout, guarded_created_us
from include.adapters.online.rows import EncodedRows

LAYOUT = RedisLayout("shop", "daily")


def rows_of(count: int) -> EncodedRows:
    return EncodedRows(
        keys=pa.array([b"key%d" % n for n in range(count)], pa.binary()),
        values={
            "x": pa.array([b"v" * n for n in range(count)], pa.binary()),
            "y": pa.array([b""] * count, pa.binary()),
        },
        texts={},
        event_us=pa.array([1_700_000_000_000_000 + n for n in range(count)], pa.int64()),
        created_us=pa.array([None if n % 2 else 1_700_000_500_000_000 for n in range(count)], pa.int64()),
    )


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 123])
def test_every_row_is_in_exactly_one_call_with_its_own_times_and_values(count: int) -> None:
    parser = hiredis.Reader()
    parser.feed(b"".join(write_calls(LAYOUT, rows_of(count), ttl_seconds=60)))
    found = []
    while (command := parser.gets()) is not False:
        keys = int(command[2])
        assert command[:2] == [b"EVALSHA", hashlib.sha1(SCRIPT).hexdigest().encode()]
        head = command[3 + keys : 9 + keys]
        assert head == [b"60", b"_guard:daily", b"_ts:daily", b"2", _mmh3("daily:x"), _mmh3("daily:y")]
        arguments = command[9 + keys :]
        assert len(arguments) == 4 * keys
        found += [(command[3 + n], *arguments[4 * n : 4 * n + 4]) for n in range(keys)]

    expected = []
    for n in range(count):
        event = 1_700_000_000_000_000 + n
        guard = struct.pack(">dd", event, event if n % 2 else 1_700_000_500_000_000)
        expected.append((b"key%dshop" % n, guard, timestamp_bytes(event), b"v" * n, b""))
    assert found == expected


def test_a_guard_tells_the_created_time_of_its_own_event_only() -> None:
    guard = struct.pack(">dd", 1_700_000_000_000_001, 1_700_000_500_000_003)
    assert guarded_created_us(guard, 1_700_000_000_000_001) == 1_700_000_500_000_003
    assert guarded_created_us(guard, 1_700_000_000_000_000) is None
    assert guarded_created_us(None, 1_700_000_000_000_000) is None
