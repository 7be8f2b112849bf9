"""Read five doubles of 1 and of 100 entities online: this project, Feast, and the bare command.

What belongs here: latencies of single reads, and the first read of a process. What does not: servers.

Each contender reads the same keys, a few hundred times a round, and notes every read's time. This project's answer
holds values, status and event times; with tables, also as three Arrow tables. Feast's is ``to_dict``. The floor is
one pipeline of HMGET by redis-py, undecoded. The project and Feast read what this project materialised.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from feast.infra.online_stores.helpers import _mmh3
from redis import Redis

from benchmarks.online_stores import (
    FEATURES,
    FIRST_DAY,
    GROUP,
    KEY,
    SERVICE,
    STORES,
    Servers,
    applied,
    servers,
    write_days,
)
from benchmarks.side_by_side import Contender, Race, race
from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.adapters.online.keys import key_encoder
from include.partitions import end_of

_ENTITIES = 100_000
_READS = 500


@dataclass
class Timed:
    """A read that notes how long each call took, in a file beside the lake.

    Attributes
    ----------
    read : callable
        Takes keys.
    batches : list of list of str
        The keys of every read of a round.
    noted : Path
        Grows by a line per read, in seconds.
    """

    read: Callable[[Sequence[str]], object]
    batches: list[list[str]]
    noted: Path

    def __call__(self) -> None:
        """Read every batch once."""
        taken = []
        for keys in self.batches:
            started = time.perf_counter()
            self.read(keys)
            taken.append(time.perf_counter() - started)
        with self.noted.open("a") as lines:
            lines.writelines(f"{seconds}\n" for seconds in taken)


def ours(at: Servers, store: str, entities: int, keys: int, noted: Path, tables: bool) -> Callable[[], object]:
    """Read by a warm reader; the first line is this process's first read."""
    adapter = FeatureStoreAdapter(at.config(store, guarded=True, name=f"reads_{entities}", number=1))
    reader, moment = adapter.warm(SERVICE), end_of(FIRST_DAY)

    def read(asked: Sequence[str]) -> object:
        found = reader.read(asked, at=moment)
        return (found.values, found.status, found.event_timestamps) if tables else found

    return _timed(read, entities, keys, noted)


def feast(at: Servers, store: str, entities: int, keys: int, noted: Path) -> Callable[[], object]:
    """Read by Feast, with its own store on the same rows."""
    feature_store = applied(
        at.config(store, guarded=False, name=f"reads_{entities}", number=1), f"features/bench_{entities}"
    )
    service = feature_store.get_feature_service(SERVICE)

    def read(asked: Sequence[str]) -> object:
        rows = [{KEY: key} for key in asked]
        return feature_store.get_online_features(features=service, entity_rows=rows).to_dict()

    return _timed(read, entities, keys, noted)


def floor(at: Servers, store: str, entities: int, keys: int, noted: Path) -> Callable[[], object]:
    """Send HMGET and keep the bytes."""
    client = Redis.from_url(at.url("redis", f"reads_{entities}", 1))
    fields = [*(_mmh3(f"{GROUP}:{name}") for name in FEATURES), f"_ts:{GROUP}"]
    encode = key_encoder((KEY,))

    def read(asked: Sequence[str]) -> object:
        with client.pipeline(transaction=False) as pipe:
            for key in asked:
                pipe.hmget(encode(key) + b"bench", fields)
            return pipe.execute()

    return _timed(read, entities, keys, noted)


def main(scale: float = 1.0, rounds: int = 6) -> list[Race]:
    """Race on every store, and on Redis at three sizes; 1 is 100k entities."""
    entities = max(int(_ENTITIES * scale), 1000)
    sizes = [entities // 10, entities, entities * 3]
    finished = []
    with servers() as at:
        for size in sizes:
            write_days(at.folder, f"features/bench_{size}", size, 1)
        for store in STORES:
            fill(at, store, entities)
            finished += [_race(at, store, entities, keys, rounds) for keys in (1, 100)]
        for size in sizes:
            fill(at, "redis", size)
            finished.append(_race(at, "redis", size, 100, rounds, alone=True))
    return finished


def _race(at: Servers, store: str, entities: int, keys: int, rounds: int, *, alone: bool = False) -> Race:
    title = f"{_READS} reads of {keys} of {entities:,} entities, {store}"
    setups = [("this project", "ours", {"tables": False})]
    if not alone:
        setups += [("this project, with tables", "ours", {"tables": True}), ("feast get_online_features", "feast", {})]
        setups += [("the floor: HMGET", "floor", {})] if store == "redis" else []
    contenders = []
    for number, (name, setup, more) in enumerate(setups):
        noted = at.folder / f"reads_{store}_{entities}_{keys}_{number}{'_alone' if alone else ''}.txt"
        kwargs = {"at": at, "store": store, "entities": entities, "keys": keys, "noted": noted, **more}
        contenders.append(Contender(name, f"benchmarks.online_reads:{setup}", kwargs))
    finished = race(title, contenders, rounds=rounds, baseline="this project")
    print(f"{'ms per read':<44}{'first':>10}{'p50':>10}{'p99':>10}")
    for contender in contenders:
        taken = np.loadtxt(contender.kwargs["noted"]) * 1000
        p50, p99 = np.percentile(taken[1:], [50, 99])
        print(f"{contender.name:<44}{taken[0]:>10.3f}{p50:>10.3f}{p99:>10.3f}", flush=True)
    return finished


def fill(at: Servers, store: str, entities: int) -> None:
    """Have the newest rows of so many entities in a store, and nothing else."""
    name = f"reads_{entities}"
    at.create(name)
    at.empty(store, name, 1)
    config = at.config(store, guarded=True, name=name, number=1)
    applied(config, f"features/bench_{entities}")
    FeatureStoreAdapter(config).materialize(GROUP, start=FIRST_DAY, end=FIRST_DAY)


def _timed(read: Callable[[Sequence[str]], object], entities: int, keys: int, noted: Path) -> Timed:
    rng = np.random.default_rng(keys)
    batches = [[f"c{n:08d}" for n in rng.integers(0, entities, keys)] for _ in range(_READS)]
    return Timed(read, batches, noted)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="1 is 100k entities")
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    main(arguments.scale, arguments.rounds)
