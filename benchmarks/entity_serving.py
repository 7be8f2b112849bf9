"""Answer about entities online, from Redis and PostgreSQL: this project with its model, and `feast serve` without one.

What belongs here: the servers, and what each is asked. What does not: stores (``online_stores``), and asking
(``server_race``).

Five doubles an entity. This project reads them, scores them with 500 trees, and keeps what it answered; Feast's
feature server returns them. It runs its own application under the same server as all others here; on Redis once more
with vectors that were put together beforehand (`precompute_online`), which no other store of Feast has.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from feast import FeatureService, FeatureStore

from benchmarks.online_reads import fill
from benchmarks.online_stores import FEATURES, GROUP, KEY, SERVICE, Servers, servers, write_days
from benchmarks.server_race import Asked, Contender, module, race_servers
from benchmarks.serving_servers import MODEL, make_model, ours, run
from include.adapters.online.open_store import open_online_store
from include.adapters.online.reading import OnlineReader
from include.adapters.online.stored_columns import ViewColumns
from include.serving.online_features import ReadPlan

_ENTITIES = 20_000
_TTL = timedelta(days=3650)
_PRECOMPUTED = "bench_precomputed_v1"
# Questions that are asked one after another: more than any cache of a processor holds the rows of.
_BODIES = 500


def main(scale: float = 1.0, rounds: int = 3) -> list[Mapping[tuple[str, int], Sequence[Asked]]]:
    """Race on both stores, about 1 and about 100 entities; `scale` of 1 asks each for 5 seconds at a time."""
    finished = []
    with servers() as at:
        make_model(at.folder, FEATURES)
        write_days(at.folder, f"features/bench_{_ENTITIES}", _ENTITIES, 1)
        for store in ("redis", "postgres"):
            fill(at, store, _ENTITIES)
            services = [SERVICE]
            if store == "redis":
                _precompute(_plain(at, store))
                services.append(_PRECOMPUTED)
            finished += [
                _race(at, store, count, services, seconds=max(0.5, 5 * scale), rounds=rounds) for count in (1, 100)
            ]
    return finished


def _race(
    at: Servers, store: str, count: int, services: Sequence[str], *, seconds: float, rounds: int
) -> Mapping[tuple[str, int], Sequence[Asked]]:
    contenders = [_ours(at, store, count), *(_feast(at, store, count, service) for service in services)]
    what = f"{count} of {_ENTITIES:,} entities, {store}"
    return race_servers(what, contenders, connections=(1, 16), seconds=seconds, rounds=rounds)


def serve(who: str, store: str, folder: str, redis_url: str, postgres_url: str, port: str) -> None:
    """Run one of the servers until it is killed."""
    at = Servers(Path(folder), redis_url, postgres_url)
    run(_service(at, store) if who == "ours" else _feature_server(at, store), int(port))


def _service(at: Servers, store: str) -> Any:
    view = ViewColumns(GROUP, (KEY,), dict.fromkeys(FEATURES, pa.float64()), _TTL)

    def prepare() -> OnlineReader:
        return OnlineReader(open_online_store(at.url(store, _name(), 1), project="bench", timeout_s=1.0), [view])

    ttl_us = _TTL // timedelta(microseconds=1)
    names = tuple(FEATURES)
    plan = ReadPlan(prepare, features=names, own=names, holds=None, ttls_us=dict.fromkeys(names, ttl_us), kind=SERVICE)
    return ours((at.folder / "model.onnx").read_bytes(), str(at.folder / store), names, plan)


def _feature_server(at: Servers, store: str) -> Any:
    from feast.feature_server import get_app

    return get_app(_plain(at, store))


def _plain(at: Servers, store: str) -> FeatureStore:
    """Return Feast's own store, over what this project put there."""
    return FeatureStore(config=at.config(store, guarded=False, name=_name(), number=1))


def _precompute(store: FeatureStore) -> None:
    view = store.get_feature_view(GROUP)
    store.apply(FeatureService(name=_PRECOMPUTED, features=[view], precompute_online=True))
    if (written := store.precompute_feature_service(_PRECOMPUTED)) != _ENTITIES:
        raise RuntimeError(f"Feast put {written} vectors together, not {_ENTITIES}")


def _ours(at: Servers, store: str, count: int) -> Contender:
    bodies = [json.dumps({"entities": [{KEY: key} for key in keys]}).encode() for keys in _questions(count)]
    return Contender("this project, with the model", _command(at, store, "ours"), f"/v1/models/{MODEL}/predict", bodies)


def _feast(at: Servers, store: str, count: int, service: str) -> Contender:
    title = "feast serve, precompute_online" if service == _PRECOMPUTED else "feast serve"
    # Vectors that were put together are found by full names alone.
    named = {"full_feature_names": service == _PRECOMPUTED}
    asked = [{"feature_service": service, "entities": {KEY: keys}, **named} for keys in _questions(count)]
    bodies = [json.dumps(each).encode() for each in asked]
    return Contender(title, _command(at, store, "feast"), "/get-online-features", bodies)


def _command(at: Servers, store: str, who: str) -> list[str]:
    return module("benchmarks.entity_serving", who, store, str(at.folder), at.redis_url, at.postgres_url)


def _questions(count: int) -> list[list[str]]:
    rng = np.random.default_rng(count)
    return [[f"c{n:08d}" for n in rng.integers(0, _ENTITIES, count)] for _ in range(_BODIES)]


def _name() -> str:
    return f"reads_{_ENTITIES}"


if __name__ == "__main__":
    serve(*sys.argv[1:])
