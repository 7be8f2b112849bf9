"""From a question to its answer: routing, features, scores, and what follows from them.

What belongs here: the one way to an answer, whichever protocol asks. What does not: bytes of requests (``asks``), HTTP
(``http_routes``), and which versions there are (``lineup``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from include.adapters.online.keys import Key
from include.adapters.online.open_store import OnlineStoreDownError
from include.scoring.lists import rank_items
from include.serving.asks import Ask, AskReader, narrowed
from include.serving.candidates import Candidates
from include.serving.feature_rows import FeatureRow
from include.serving.lineup import Lineup
from include.serving.online_features import OnlineFeatureReader, age_seconds
from include.serving.refusal import Refusal
from include.serving.routing import canary_salt, is_canary
from include.serving.served_version import ServedVersion
from include.serving.tally import Tally
from include.serving.turns import TurnScorer

# Whoever is refused for the store's sake may ask again so soon.
_STORE_RETRY_S = 1


@dataclass(frozen=True)
class Answerer:
    """A version with what it takes to ask it.

    Attributes
    ----------
    version : ServedVersion
    asks : AskReader
    scorer : TurnScorer
    reader : OnlineFeatureReader
    tally : Tally
        Counts what it answers.
    candidates : Candidates or None
        Of a ranking, what may be in a list.
    """

    version: ServedVersion
    asks: AskReader
    scorer: TurnScorer
    reader: OnlineFeatureReader
    tally: Tally
    candidates: Candidates | None = None


class Scored(NamedTuple):
    """One row that was asked about.

    Attributes
    ----------
    answerer : Answerer
        Whose version answers.
    row : FeatureRow or None
        What the store had; None where the caller gave all features.
    vector : bytes or None
        What was scored, float32, little endian; None where nothing was.
    score : float or None
    decision : int or None
        A classifier's, where there is a score: 1 or 0.
    fallback : str or None
        ``default`` or ``last``, where the store was down.
    is_given : bool
        Whether the caller gave some of the features.
    """

    answerer: Answerer
    row: FeatureRow | None
    vector: bytes | None
    score: float | None
    decision: int | None
    fallback: str | None = None
    is_given: bool = False


class ToldRow(msgspec.Struct):
    """One answer of a classifier, as it is written.

    Attributes
    ----------
    prediction : int or None
    probability : float or None
    model_version : int
    role : str
    standing : str
        How an entity stands with the model; with what follows left out where there is no row of the store.
    feature_age_s : float or None
    source : str
        Where the row is from; left out where it is the store's.
    fallback : str
        See `Scored`.
    features : mapping of str to mapping
        Status and age of each, where they were asked for.
    """

    prediction: int | None
    probability: float | None
    model_version: int
    role: str
    standing: str | UnsetType = UNSET
    feature_age_s: float | UnsetType | None = UNSET
    source: str | UnsetType = UNSET
    fallback: str | UnsetType = UNSET
    features: Mapping[str, Mapping[str, object]] | UnsetType = UNSET


class ToldScore(msgspec.Struct):
    """One row's place on a ranking's scale, as it is written.

    Attributes
    ----------
    score : float or None
    model_version : int
    role : str
    """

    score: float | None
    model_version: int
    role: str


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
        return await score_vectors(lineup.champion, ask.vectors)
    asked = list(zip(ask.entities, ask.given or [{}] * len(ask.entities), strict=True))
    answerers = _answerers(lineup, ask.entities)
    found: dict[int, Scored] = {}
    for answerer in lineup.members:
        if mine := [place for place, each in enumerate(answerers) if each is answerer]:
            keys, given = zip(*map(asked.__getitem__, mine), strict=True)
            found |= zip(mine, await score_entities(answerer, keys, given, at=ask.at), strict=True)
    return [scored for _, scored in sorted(found.items())]


async def score_vectors(answerer: Answerer, vectors: Sequence[bytes]) -> list[Scored]:
    """Return what one version scores whole rows with, which are given as it reads them."""
    scores = await answerer.scorer.score(vectors)
    return [Scored(answerer, None, row, score, made) for row, (score, made) in zip(vectors, scores, strict=True)]


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
    try:
        rows = await reader.read(asked, at=at, timeout_s=spec.serving.store_timeout_ms / 1000)
    except OnlineStoreDownError as err:
        last = reader.last(asked) if spec.serving.store_down == "stale" else None
        if last is None and spec.serving.store_down != "default":
            raise Refusal(503, "store_down", str(err), retry_after_s=_STORE_RETRY_S) from None
        if last is None:
            return [_default(answerer)] * len(keys)
        rows, fallback = last, "last"
    return await _score_rows(answerer, rows, given, fallback)


def tell(scored: Scored, ask: Ask) -> ToldRow:
    """Return one answer of a classifier, or of a row that stands by itself."""
    version, row = scored.answerer.version, scored.row
    told = ToldRow(scored.decision, scored.score, version.version, version.role)
    if row is not None:
        told.standing, told.feature_age_s = row.standing, age_seconds(row.event_us, ask.at)
        if row.source != "store":
            told.source = row.source
        if ask.is_detailed:
            told.features = tell_features(scored, ask.at)
    if scored.fallback is not None:
        told.fallback = scored.fallback
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


def _default(answerer: Answerer) -> Scored:
    """Return what stands in where the store is down and nothing was read."""
    score = answerer.version.spec.serving.default_score
    decisions = answerer.version.decide(np.array([] if score is None else [score], dtype=np.float32))
    return Scored(answerer, None, None, score, next(iter(decisions), None), "default")


async def _score_rows(
    answerer: Answerer, rows: Sequence[FeatureRow], given: Sequence[Mapping[str, float | None]], fallback: str | None
) -> list[Scored]:
    names = answerer.asks.features
    # Whoever gives all features needs none of the store's.
    is_scored = [row.standing == "scored" or len(own) == len(names) for row, own in zip(rows, given, strict=True)]
    if not any(is_scored):
        return [Scored(answerer, row, None, None, None, fallback) for row in rows]
    chosen = [
        _overridden(row.values, own, names) for row, own, take in zip(rows, given, is_scored, strict=True) if take
    ]
    vectors = [row.tobytes() for row in narrowed(np.stack(chosen), names)]
    scores = zip(vectors, await answerer.scorer.score(vectors), strict=True)
    found = []
    for row, own, take in zip(rows, given, is_scored, strict=True):
        vector, (score, decision) = next(scores) if take else (None, (None, None))
        found.append(Scored(answerer, row, vector, score, decision, fallback, bool(own)))
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
