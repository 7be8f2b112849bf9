"""The guarded write inside a Redis server, and the commands that carry rows to it.

What belongs here: the script and the bytes of its calls. What does not: connections, and Feast's interface.

A call writes some hundred hashes in Feast's layout, each if its (event, created) time is not older than the one it
holds. Redis runs a script alone, so that parallel writers can't come between comparing and writing, as they can
between Feast's two pipelines. Feast keeps no created time: it is in one more field per view, beside the event time
that it belongs to, so that a row written without this script is told by its ``_ts`` alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.online.encoding import encode_timestamps, fixed_bytes, join_bytes, lengths
from include.adapters.online.redis_layout import RedisLayout, bulk
from include.adapters.online.rows import EncodedRows

# ARGV: seconds that a key lives (0: for ever), the guard's field, Feast's field of the event time, how many features,
# their fields; then of each key the guard (event, created as two doubles, exact up to the year 2255), the event time
# as Feast writes it, and the values.
SCRIPT = b"""
local function varint(bytes, at)
    local value, scale, last = 0, 1, at
    while string.byte(bytes, last) >= 128 do last = last + 1 end
    local negative = last - at == 9
    for i = at, negative and last - 1 or last do
        local low = string.byte(bytes, i) % 128
        value, scale = value + (negative and 127 - low or low) * scale, scale * 128
    end
    return negative and -value - 1 or value, last + 1
end
local function event_of(stamp)
    local seconds, nanos, at, tag, value = 0, 0, 1
    while at <= #stamp do
        tag = string.byte(stamp, at)
        value, at = varint(stamp, at + 1)
        if tag == 8 then seconds = value elseif tag == 16 then nanos = value end
    end
    return seconds * 1000000 + math.floor(nanos / 1000)
end
local ttl, guard, stamp, count = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local row, written, at = {guard, '', stamp, ''}, 0, 4 + count
for i = 1, count do row[2 * i + 3] = ARGV[4 + i] end
for _, key in ipairs(KEYS) do
    local held = redis.call('HMGET', key, stamp, guard)
    local keeps = false
    if held[1] then
        local event, created = struct.unpack('>dd', ARGV[at + 1])
        local held_event = event
        if held[1] ~= ARGV[at + 2] then held_event = event_of(held[1]) end
        local held_created = held_event
        if held[2] then
            local guarded, known = struct.unpack('>dd', held[2])
            if guarded == held_event then held_created = known end
        end
        keeps = event < held_event or (event == held_event and created < held_created)
    end
    if not keeps then
        row[2], row[4] = ARGV[at + 1], ARGV[at + 2]
        for i = 1, count do row[2 * i + 4] = ARGV[at + 2 + i] end
        redis.call('HSET', key, unpack(row))
        if ttl > 0 then redis.call('EXPIRE', key, ttl) end
        written = written + 1
    end
    at = at + 2 + count
end
return written
"""
_SHA = hashlib.sha1(SCRIPT, usedforsecurity=False).hexdigest().encode()
# What one call keeps the server busy with: about a quarter of a millisecond, so that reads between calls don't wait.
_KEYS_PER_CALL = 50
_NEWLINE = pa.scalar(b"\r\n")


def load_script() -> bytes:
    """Return the command that makes the script known to the server."""
    return b"*3\r\n" + bulk(b"SCRIPT") + bulk(b"LOAD") + bulk(SCRIPT)


def write_calls(layout: RedisLayout, rows: EncodedRows, *, ttl_seconds: int) -> Iterator[bytes]:
    """Yield the calls of the script that write rows."""
    keys = _bulk_column(join_bytes(rows.keys, pa.scalar(layout.project.encode())))
    stamps = encode_timestamps(rows.event_us)
    arguments = join_bytes(*(_bulk_column(c) for c in (_guards(rows), stamps, *rows.values.values())))
    fields = [layout.feature_field(feature) for feature in rows.values]
    head = [b"%d" % ttl_seconds, layout.guard_field, layout.stamp_field, b"%d" % len(fields), *fields]
    shared = b"".join(map(bulk, head))
    key_ends, key_bytes = _buffers(keys)
    argument_ends, argument_bytes = _buffers(arguments)
    for start in range(0, len(rows), _KEYS_PER_CALL):
        stop = min(start + _KEYS_PER_CALL, len(rows))
        count = stop - start
        parts = 3 + count + len(head) + count * (2 + len(fields))
        yield b"".join(
            (
                b"*%d\r\n" % parts + bulk(b"EVALSHA") + bulk(_SHA) + bulk(b"%d" % count),
                key_bytes[key_ends[start] : key_ends[stop]],
                shared,
                argument_bytes[argument_ends[start] : argument_ends[stop]],
            )
        )


def _guards(rows: EncodedRows) -> pa.BinaryArray:
    created_us = pc.coalesce(rows.created_us, rows.event_us)
    times = np.stack([np.asarray(rows.event_us), np.asarray(created_us)], axis=1).astype(">f8")
    return fixed_bytes(times.view(np.uint8).reshape(len(rows), 16))


def _bulk_column(column: pa.BinaryArray) -> pa.BinaryArray:
    sizes = lengths(column)
    if len(sizes) and sizes.min() == sizes.max():
        return join_bytes(pa.scalar(b"$%d\r\n" % sizes[0]), column, _NEWLINE)
    written = pc.cast(pc.cast(pa.array(sizes), pa.string()), pa.binary())
    return join_bytes(pa.scalar(b"$"), written, _NEWLINE, column, _NEWLINE)


def _buffers(column: pa.BinaryArray) -> tuple[list[int], memoryview]:
    """Return where the strings end, the start first, and the bytes that they lie in, one after another."""
    _, ends, stored = column.buffers()
    return np.frombuffer(ends, np.int32)[: len(column) + 1].tolist(), memoryview(stored or b"")
