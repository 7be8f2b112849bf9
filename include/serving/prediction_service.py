"""The models of one process, asked by name: the answers that any route gives.

What belongs here: which model a route means, and the answer's outer shape. What does not: HTTP (``http_routes``), and
how an answer comes about (``answers``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from include.errors import nearest
from include.serving import protocols
from include.serving.answers import Answerer, Scored, ToldRow, ToldScore, score_ask, score_lists, tell, tell_list
from include.serving.asks import Ask
from include.serving.binary_tensors import BinaryAnswer, pack
from include.serving.exchange import Exchange
from include.serving.lineup import Lineup, Roster
from include.serving.refusal import Refusal, unprocessable

if TYPE_CHECKING:
    from include.serving.served_version import ServedVersion
    from include.serving.service_record import ServiceRecord
    from include.specs.models import ModelSpec

# A model that nobody has promoted a version of may have one soon.
_PROMOTION_RETRY_S = 30
# What the requirements' own form says of a row.
_OF_ONE_ROW = ("prediction", "probability", "score", "model_version")


class Answer(msgspec.Struct):
    """What a question comes to, as it is written.

    Attributes
    ----------
    model : str
    model_version : int
        The champion's.
    request_id : str
    predictions : sequence
        Of each entity, row or list, in the order that they were asked about.
    """

    model: str
    model_version: int
    request_id: str
    predictions: Sequence[object]


class PredictionService:
    """Answers questions to the models of a roster.

    Parameters
    ----------
    roster : Roster
    record : ServiceRecord
        Keeps what is answered.
    """

    def __init__(self, roster: Roster[Answerer], record: ServiceRecord) -> None:
        self.roster = roster
        self.record = record
        self.specs: Mapping[str, ModelSpec] = {spec.model_id: spec for spec in roster.specs}

    async def predict(self, body: bytes, exchange: Exchange) -> Answer:
        """Answer a question about entities, rows of features, or both.

        Raises
        ------
        Refusal
            404 where there is no such model, 503 where none of its versions is in Production, and those of `asks` and
            `answers`.
        """
        lineup = self._lineup_for(exchange)
        champion = lineup.champion.version
        ask = lineup.champion.asks.read(body)
        answers: Sequence[object]
        if champion.spec.task == "ranking" and ask.entities:
            if ask.given:
                raise unprocessable("a list is made of what the store knows of its items: leave instances out")
            lists = await score_lists(lineup, ask)
            pairs = [pair for each in lists for pair in each.pairs]
            exchange.keep(ask, pairs, [row for each in lists for row in each.scored])
            answers = [tell_list(each, ask) for each in lists]
        else:
            answers = _told(champion.spec, await _scored(lineup, ask, exchange), ask)
        return Answer(champion.spec.model_id, champion.version, exchange.request_id, answers)

    async def predict_row(self, body: bytes, exchange: Exchange) -> dict[str, object]:
        """Answer one flat object of features, for a deployment of one model; refusals are those of `predict`."""
        lineup = self._lineup_for(exchange)
        ask = lineup.champion.asks.read_row(body)
        (answer,) = _told(lineup.champion.version.spec, await _scored(lineup, ask, exchange), ask)
        return {name: getattr(answer, name) for name in answer.__struct_fields__ if name in _OF_ONE_ROW}

    async def invoke(self, body: bytes, exchange: Exchange) -> dict[str, object]:
        """Answer a body of MLflow's scoring protocol with scores; refusals are those of `predict`."""
        lineup = self._lineup_for(exchange)
        ask = lineup.champion.asks.read_rows(protocols.read_invocation(body))
        scored = await _scored(lineup, ask, exchange)
        return {"predictions": [each.score for each in scored]}

    async def infer(
        self, body: bytes, exchange: Exchange, version: str | None = None, *, json_bytes: int | None = None
    ) -> dict[str, object] | BinaryAnswer:
        """Answer a body of the Open Inference Protocol; refusals are those of `predict`."""
        lineup = self._lineup_for(exchange)
        serving = _required(lineup, version)
        if serving.spec.task != "binary":
            raise unprocessable(f"{serving.spec.model_id} orders lists: ask /v1/models/{serving.spec.model_id}/predict")
        asked = protocols.read_inference(body, json_bytes)
        scored = await _scored(lineup, lineup.champion.asks.read_rows(asked.rows), exchange)
        values: dict[str, Sequence[object]] = {
            "probability": [each.score for each in scored],
            "prediction": [each.decision for each in scored],
        }
        told = protocols.write_inference(
            serving.spec.model_id, serving.version, values, asked_id=asked.asked_id, outputs=asked.outputs
        )
        return pack(told, asked.as_bytes) if asked.as_bytes else told

    def served(self, model_id: str, version: str | None) -> ServedVersion:
        """Return the version of a model that is in Production; where another one is asked for, 404 as in `infer`."""
        return _required(self.lineup(model_id), version)

    def lineup(self, model_id: str) -> Lineup[Answerer]:
        """Return the versions that answer for a model; refusals are those of `predict`."""
        if (found := self.roster.lineups.get(model_id)) is not None:
            return found
        if model_id not in self.specs:
            raise Refusal(
                404,
                "no_such_model",
                f"no model {model_id!r} is served{nearest(model_id, self.specs)}; there are {', '.join(self.specs)}",
            )
        said = self.roster.said.get(model_id)
        reason = said.problem if said is not None and said.problem else "no version of it is in Production yet"
        raise Refusal(503, "not_ready", f"{model_id} does not answer: {reason}", retry_after_s=_PROMOTION_RETRY_S)

    @property
    def sole_model(self) -> str | None:
        """The model of a deployment that serves one; None of one that serves several."""
        return next(iter(self.specs)) if len(self.specs) == 1 else None

    def only_model(self) -> str:
        """Return the model of a deployment that serves one; others are refused with 404."""
        if (sole := self.sole_model) is None:
            raise Refusal(
                404,
                "several_models",
                f"{len(self.specs)} models are served here: ask one by its name, /v1/models/MODEL/predict or "
                f"/v1/models/MODEL/invocations ({', '.join(self.specs)}); mlops serve --model MODEL serves one",
            )
        return sole

    def _lineup_for(self, exchange: Exchange) -> Lineup[Answerer]:
        exchange.lineup = self.lineup(self.only_model() if exchange.model_id is None else exchange.model_id)
        return exchange.lineup


def _required(lineup: Lineup[Answerer], version: str | None) -> ServedVersion:
    serving = lineup.champion.version
    if version is not None and version != str(serving.version):
        raise Refusal(
            404,
            "no_such_version",
            f"version {version} of {serving.spec.model_id} is not served; {serving.version} is in Production",
        )
    return serving


async def _scored(lineup: Lineup[Answerer], ask: Ask, exchange: Exchange) -> list[Scored]:
    scored = await score_ask(lineup, ask)
    exchange.keep(ask, ask.entities, scored)
    return scored


def _told(spec: ModelSpec, scored: Sequence[Scored], ask: Ask) -> list[ToldRow] | list[ToldScore]:
    if spec.task == "binary":
        return [tell(each, ask) for each in scored]
    versions = [each.answerer.version for each in scored]
    return [
        ToldScore(each.score, version.version, version.role) for each, version in zip(scored, versions, strict=True)
    ]
