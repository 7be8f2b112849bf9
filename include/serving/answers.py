"""From a question to its answer: routing, features, scores, and what follows from them.

What belongs here: the one way to an answer, whichever protocol asks. What does not: bytes of requests (``asks``), HTTP
(``http_routes``), and which versions there are (``lineup``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.adapters.online.keys import Key
from include.adapters.online.open_store import OnlineStoreDownError
from include.scoring.lists import rank_items
from include.scoring.predictions import decides_for
from include.serving.asks import Ask, AskReader, narrowed
from include.serving.candidates import Candidates
from include.serving.lineup import Lineup
from include.serving.online_features import FeatureRow, OnlineFeatureReader, age_seconds
from include.serving.refusal import Refusal
from include.serving.routing import canary_salt, is_canary
from include.serving.served_version import ServedVersion
from include.serving.tally import Tally
from include.specs.models import ModelSpec

# Whoever is refused for the store's sake may ask again so soon.
_STORE_RETRY_S = 1


@dataclass(frozen=True)
class Answerer:
    """A version with what it takes to ask it.

    Attributes
    ----------
    version : ServedVersion
    asks : AskReader
    reader : OnlineFeatureReader
    tally : Tally
        Counts what it answers.
    candidates : Candidates or None
        Of a ranking, what may be in a list.
    """

    version: ServedVersion
    asks: AskReader
    reader: OnlineFeatureReader
    tally: Tally
    candidates: Candidates | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """One row that was asked about.

    Attributes
    ----------
    answerer : Answerer
        Whose version answers.
    row : FeatureRow or None
        What the store had; None where the caller gave all features.
    vector : ndarray of shape (n_features,), float32, or None
        What was scored; None where nothing was.
    score : float or None
    fallback : str or None
        ``default`` or ``last``, where the store was down.
    is_given : bool
        Whether the caller gave some of the features.
    """

    answerer: Answerer
    row: FeatureRow | None
    vector: NDArray[np.float32] | None
    score: float | None
    fallback: str | None = None
    is_given: bool = False


@dataclass(frozen=True)
class ScoredList:
    """One list that was asked for.

    Attributes
    ----------
    answerer : Answerer
    pairs : sequence of tuple of str
        The keys of each item in it.
    scored : sequence of Scored
        The same items.
    """

    answerer: Answerer
    pairs: Sequence[tuple[str, ...]]
    scored: Sequence[Scored]


async def score_ask(lineup: Lineup[Answerer], ask: Ask) -> list[Scored]:
    """Return what each entity, or each row, is scored with, in their order.

    Raises
    ------
    Refusal
        422 where features can't be computed with, 503 where the online store is down and the model declares nothing
        that stands in for it.
    """
    if not ask.entities:
        matrix = lineup.champion.asks.matrix(ask.given)
        scores = lineup.champion.version.score(matrix)
        return [Scored(lineup.champion, None, row, float(score)) for row, score in zip(matrix, scores, strict=True)]
    asked = list(zip(ask.entities, ask.given or [{}] * len(ask.entities), strict=True))
    answerers = _answerers(lineup, ask.entities)
    found: dict[int, Scored] = {}
    for answerer in lineup.members:
        if mine := [place for place, each in enumerate(answerers) if each is answerer]:
            keys, given = zip(*map(asked.__getitem__, mine), strict=True)
            found |= zip(mine, await score_entities(answerer, keys, given, at=ask.at), strict=True)
    return [scored for _, scored in sorted(found.items())]


async def score_entities(
    answerer: Answerer,
    keys: Sequence[tuple[str, ...]],
    given: Sequence[Mapping[str, float | None]],
    *,
    at: datetime | None,
) -> list[Scored]:
    """Return what one version scores entities with; parameters and refusals are those of `score_ask`."""
    spec, reader = answerer.version.spec, answerer.reader
    asked: list[Key] = [key[0] for key in keys] if len(spec.entity.keys) == 1 else list(keys)
    fallback = None
    rows: list[FeatureRow] | None
    try:
        rows = await reader.read(asked, at=at, timeout_s=spec.serving.store_timeout_ms / 1000)
    except OnlineStoreDownError as err:
        rows = reader.last(asked) if spec.serving.store_down == "stale" else None
        if rows is None and spec.serving.store_down != "default":
            raise Refusal(503, "store_down", str(err), retry_after_s=_STORE_RETRY_S) from None
        fallback = "last" if rows is not None else "default"
    if rows is None:
        return [Scored(answerer, None, None, spec.serving.default_score, fallback) for _ in keys]
    return _score_rows(answerer, rows, given, fallback)


def tell(scored: Scored, ask: Ask) -> dict[str, object]:
    """Return one answer of a classifier, or of a row that stands by itself."""
    version, row = scored.answerer.version, scored.row
    told: dict[str, object] = {
        "prediction": None if scored.score is None else _decide(version.spec, scored.score),
        "probability": scored.score,
        "model_version": version.version,
        "role": version.role,
    }
    if row is not None:
        told |= {"standing": row.standing, "feature_age_s": age_seconds(row.event_us, ask.at)}
        if row.source != "store":
            told["source"] = row.source
    if scored.fallback is not None:
        told["fallback"] = scored.fallback
    if ask.is_detailed and row is not None:
        told["features"] = tell_features(scored, ask.at)
    return told


def tell_features(scored: Scored, at: datetime | None) -> dict[str, dict[str, object]]:
    """Return each feature's status and age."""
    row = scored.row
    if row is None:
        return {}
    names = scored.answerer.version.signature.feature_names
    return {
        name: {"status": status, "age_s": age_seconds(event, at)}
        for name, status, event in zip(names, row.status, row.events, strict=True)
    }


async def score_lists(lineup: Lineup[Answerer], ask: Ask) -> list[ScoredList]:
    """Return of each list that is asked for all its items; refusals are those of `score_ask`."""
    lists = []
    for key, answerer in zip(ask.entities, _answerers(lineup, ask.entities), strict=True):
        pairs = [(*key, item) for item in answerer.candidates.items] if answerer.candidates is not None else []
        scored = await score_entities(answerer, pairs, [{}] * len(pairs), at=ask.at)
        lists.append(ScoredList(answerer, pairs, scored))
    return lists


def tell_list(scored: ScoredList, ask: Ask) -> dict[str, object]:
    """Return a list's first items, best first."""
    answerer, rows = scored.answerer, zip(scored.pairs, scored.scored, strict=True)
    placed = [(pair[-1], each) for pair, each in rows if each.score is not None]
    scores = np.array([each.score for _, each in placed], dtype=np.float32)
    keys = pa.chunked_array([[item for item, _ in placed]], pa.string())
    ranks = rank_items(np.zeros(len(placed), dtype=np.int64), scores, keys)
    ages = [each.row.event_us for _, each in placed if each.row is not None]
    items = []
    places = ask.k or int(answerer.version.spec.decides_by["top_k"])
    for place in np.argsort(ranks)[:places]:
        item, each = placed[place]
        told: dict[str, object] = {"item": item, "score": each.score, "rank": int(ranks[place])}
        if ask.is_detailed:
            told["features"] = tell_features(each, ask.at)
        items.append(told)
    return {
        "items": items,
        "candidates": len(placed),
        "model_version": answerer.version.version,
        "role": answerer.version.role,
        "feature_age_s": age_seconds(min(filter(None, ages), default=None), ask.at),
    }


def _decide(spec: ModelSpec, score: float) -> int:
    """Return a classifier's decision: 1, or 0."""
    return int(decides_for(np.array([score], dtype=np.float32), spec.decides_by["decision_threshold"])[0])


def _score_rows(
    answerer: Answerer, rows: Sequence[FeatureRow], given: Sequence[Mapping[str, float | None]], fallback: str | None
) -> list[Scored]:
    names = answerer.version.signature.feature_names
    # Whoever gives all features needs none of the store's.
    is_scored = [row.standing == "scored" or len(own) == len(names) for row, own in zip(rows, given, strict=True)]
    if not any(is_scored):
        return [Scored(answerer, row, None, None, fallback) for row in rows]
    chosen = [
        _overridden(row.values, own, names) for row, own, take in zip(rows, given, is_scored, strict=True) if take
    ]
    matrix = narrowed(np.stack(chosen), names)
    scores = iter(zip(matrix, answerer.version.score(matrix), strict=True))
    found = []
    for row, own, take in zip(rows, given, is_scored, strict=True):
        vector, score = next(scores) if take else (None, None)
        found.append(Scored(answerer, row, vector, None if score is None else float(score), fallback, bool(own)))
    return found


def _overridden(
    values: NDArray[np.float64], given: Mapping[str, float | None], names: Sequence[str]
) -> NDArray[np.float64]:
    if not given:
        return values
    changed = values.copy()
    for place, name in enumerate(names):
        if name in given:
            own = given[name]
            changed[place] = np.nan if own is None else own
    return changed


def _answerers(lineup: Lineup[Answerer], entities: Sequence[tuple[str, ...]]) -> list[Answerer]:
    """Return of each entity the version that answers it."""
    champion, challenger = lineup.champion, lineup.challenger
    if challenger is None:
        return [champion] * len(entities)
    spec = champion.version.spec
    salt = canary_salt(spec.model_id, champion.version.version, challenger.version.version)
    share = spec.serving.canary_share
    return [challenger if is_canary(key, share=share, salt=salt) else champion for key in entities]
