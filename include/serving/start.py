"""The service of a deployment, put together and run.

What belongs here: which parts a deployment means, and the server that runs them. What does not: what any of them does.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from include.adapters.online.open_store import open_shared_cache
from include.errors import UsageError
from include.serving.answers import Answerer
from include.serving.api_keys import ApiKeys
from include.serving.app import make_app
from include.serving.asks import AskReader
from include.serving.candidates import Candidates
from include.serving.door import Door
from include.serving.http_routes import Limits
from include.serving.lineup import Roster
from include.serving.online_features import OnlineFeatureReader
from include.serving.prediction_service import PredictionService
from include.serving.read_plan import read_plan
from include.serving.recorder import Recorder
from include.serving.served_version import ServedVersion
from include.serving.service_record import open_record
from include.serving.shared_rows import SharedRows
from include.serving.turns import TurnScorer
from include.specs.models import ModelSpec, RankingModelSpec

if TYPE_CHECKING:
    import uvicorn

    from include.adapters.deployment import Deployment

log = logging.getLogger(__name__)

# Entities or rows of one question.
_ROWS_MAX = 1000
_SWITCH_S = 0.0005
# Objects that are made before the collector looks: most of a request's are gone by then without it.
_YOUNG = 20_000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# What is being answered when the process is asked to end gets so long.
_DRAIN_S = 20


def open_service(deployment: Deployment, specs: Sequence[ModelSpec]) -> PredictionService:
    """Return the service of some models, with what the ledger says now in memory.

    Raises
    ------
    MlopsError
        If the ledger can't be read. A version that can't be loaded does not keep the others from answering.
    """
    service = make_service(deployment, specs)
    service.roster.refresh()
    return service


def make_service(deployment: Deployment, specs: Sequence[ModelSpec]) -> PredictionService:
    """Return the service of some models, which has yet to read the ledger."""
    record = open_record(deployment, [spec.model_id for spec in specs])
    candidates = {spec.model_id: Candidates(deployment, spec) for spec in specs if isinstance(spec, RankingModelSpec)}
    roster: Roster[Answerer] = Roster(
        deployment,
        specs,
        prepare=lambda version: _answerer(deployment, version, record.recorder, candidates.get(version.spec.model_id)),
        renew=lambda each: each.candidates.follow() if each.candidates is not None else None,
        retire=lambda each: each.reader.stop(),
    )
    return PredictionService(roster, record)


def make_server(service: PredictionService, *, host: str, port: int, limits: Limits | None = None) -> uvicorn.Server:
    """Return the server of a service: its ``run`` answers until the process is asked to end, and what is under way.

    Raises
    ------
    UsageError
        If others than this machine could ask, and no key was ever made.
    """
    import uvicorn

    keys, is_local = ApiKeys(service.roster.deployment.settings.home), host in _LOOPBACK
    if not is_local and not keys.exist():
        raise UsageError(
            f"host {host} lets others ask, and there is no key: make one with mlops serving keys add CLIENT, or answer "
            "on 127.0.0.1 only"
        )
    config = uvicorn.Config(
        make_app(service, Door(keys, is_open=is_local), limits=limits),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        # A line a request costs as much as the request.
        access_log=False,
        log_level="warning",
        server_header=False,
        # Nothing here asks who is behind a proxy, or opens a socket.
        proxy_headers=False,
        ws="none",
        timeout_graceful_shutdown=_DRAIN_S,
    )
    return uvicorn.Server(config)


def settle() -> None:
    """Have nothing in the process keep an answer waiting for long.

    The collector of garbage leaves alone what is loaded by now: it walks some 100 ms through it otherwise. A thread
    that follows the ledger or keeps the log lets the one that answers in after half a millisecond, where Python gives
    it five. For the process that is the service, and for no other.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
    sys.setswitchinterval(_SWITCH_S)


def _answerer(
    deployment: Deployment, version: ServedVersion, recorder: Recorder, candidates: Candidates | None
) -> Answerer:
    spec = version.spec
    reader = _feature_reader(deployment, version)
    keys = spec.list_keys if isinstance(spec, RankingModelSpec) else spec.entity.keys
    reader.start()
    asks = AskReader(keys, version.signature.features, max_rows=_ROWS_MAX)
    return Answerer(version, asks, TurnScorer(version), reader, recorder.open_tally(version), candidates)


def _feature_reader(deployment: Deployment, version: ServedVersion) -> OnlineFeatureReader:
    serving, plan = version.spec.serving, read_plan(deployment, version)
    seconds, keeps_last = serving.cache_seconds, serving.store_down == "stale"
    if serving.cache_in == "process":
        return OnlineFeatureReader(plan, cache_s=seconds, keeps_last=keeps_last)
    shared = SharedRows(open_shared_cache(deployment.settings), plan.kind, seconds)
    return OnlineFeatureReader(plan, keeps_last=keeps_last, shared=shared)
