"""What a demo asks the online service after each night: ten of those who were scored, one by one.

What belongs here: the questions, how long their answers took, and whether they say what the night's batch says. What
does not: the service, and how the report shows it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import httpx

from include import partitions
from include.demo.waiting import Waiting
from include.errors import MlopsError
from include.scoring.predictions import CHAMPION
from include.specs.models import RankingModelSpec, load_model
from include.tables import predictions_name

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.specs.models import ModelSpec

_QUESTIONS = 10
# Both are float32, by two engines that were proved equal to this.
_TOLERANCE = 1e-6
_ANSWER_TIMEOUT_S = 60.0
_TRIES = 5


@dataclass(frozen=True)
class AskedNight:
    """What came of the questions of one night to one model.

    Attributes
    ----------
    model_id, night : str
    version : int
        Which answered.
    latencies_ms : tuple of float
        Of each question, from sending it to having its answer.
    largest_difference : float
        Of a score online from the one of the night's batch.
    """

    model_id: str
    night: str
    version: int
    latencies_ms: tuple[float, ...]
    largest_difference: float


@dataclass(frozen=True)
class OnlineAnswers:
    """What came of all questions to one model.

    Attributes
    ----------
    model_id : str
    questions : int
    median_ms, slowest_ms : float
    largest_difference : float
        Of a score online from the one of its night's batch.
    """

    model_id: str
    questions: int
    median_ms: float
    slowest_ms: float
    largest_difference: float


class OnlineQuestions:
    """Asks the service of a home, and keeps what came of it beside the demo's plan.

    Parameters
    ----------
    deployment : Deployment
        Its lake has the night's scores.
    address : str
        The service's.
    waiting : Waiting
        Waits until the service has a version: it follows the ledger, and may have been started again.
    """

    def __init__(self, deployment: Deployment, address: str, waiting: Waiting) -> None:
        self._waiting = waiting
        self._deployment = deployment
        self._address = address
        self._kept = deployment.settings.home / "demo" / "asked.jsonl"

    def ask(self, model_id: str, night: str) -> None:
        """Ask about ten of those whom a night's batch scored.

        Raises
        ------
        MlopsError
            If the service does not answer, or says something else than the batch.
        """
        spec = load_model(model_id)
        rows = self._deployment.lake.read(predictions_name(model_id), start=night, end=night).to_pylist()
        scored = _by_question(spec, [row for row in rows if row["role"] == CHAMPION])
        chosen = sorted(scored)[:: max(1, len(scored) // _QUESTIONS)][:_QUESTIONS]
        if not chosen:
            return
        latencies, differences, versions = [], [], set()
        with httpx.Client(base_url=self._address, timeout=_ANSWER_TIMEOUT_S) as client:
            self._waiting.until(lambda: _is_served(client, model_id), f"no version of {model_id} answers online")
            for key in chosen:
                body = {"entities": [dict(zip(_asked_keys(spec), key, strict=True))], "at": _end(night)}
                answer, milliseconds = _ask(client, f"/v1/models/{model_id}/predict", body)
                latencies.append(milliseconds)
                told = _told(answer)
                versions.add(told["model_version"])
                differences.append(_difference(spec, told, scored[key]))
        if max(differences) > _TOLERANCE:
            raise MlopsError(
                f"{model_id} answers online with a score that is {max(differences):.2g} from the batch of {night}; "
                f"compare mlops score --model {model_id} --date {night} with {self._address}/docs"
            )
        asked = AskedNight(model_id, night, max(versions), tuple(latencies), max(differences))
        with self._kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(asked)) + "\n")


def sum_up(asked: Sequence[AskedNight]) -> list[OnlineAnswers]:
    """Return what came of the questions of all nights, by model, in order."""
    found = []
    for model_id in dict.fromkeys(each.model_id for each in asked):
        mine = [each for each in asked if each.model_id == model_id]
        latencies = [ms for each in mine for ms in each.latencies_ms]
        largest = max(each.largest_difference for each in mine)
        found.append(OnlineAnswers(model_id, len(latencies), median(latencies), max(latencies), largest))
    return found


def read_asked(home: Path) -> tuple[AskedNight, ...]:
    """Return what was asked in a demo, in order; of a night that was asked about again the last."""
    kept = home / "demo" / "asked.jsonl"
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    found = [AskedNight(**{**row, "latencies_ms": tuple(row["latencies_ms"])}) for row in map(json.loads, lines)]
    return tuple({(asked.model_id, asked.night): asked for asked in found}.values())


def _asked_keys(spec: ModelSpec) -> tuple[str, ...]:
    return spec.list_keys if isinstance(spec, RankingModelSpec) else spec.entity.keys


def _by_question(spec: ModelSpec, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    """Return the night's rows by what is asked: an entity, or all items of a list."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in _asked_keys(spec)), []).append(row)
    return found


def _difference(spec: ModelSpec, told: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> float:
    """Return how far an answer is from the batch; infinitely, where it is about somebody else."""
    if not isinstance(spec, RankingModelSpec):
        (row,) = rows
        return float("inf") if told["probability"] is None else abs(told["probability"] - row["score"])
    scores = {row[spec.item_key]: row["score"] for row in rows}
    first = sorted(rows, key=lambda row: int(row["rank"]))[: spec.ranking.top_k]
    if [item["item"] for item in told["items"]] != [row[spec.item_key] for row in first]:
        return float("inf")
    return max((abs(item["score"] - scores[item["item"]]) for item in told["items"]), default=0.0)


def _ask(client: httpx.Client, path: str, body: object) -> tuple[httpx.Response, float]:
    """Return the answer and its milliseconds; who is told to come again does so, as any client should."""
    for _ in range(_TRIES):
        began = time.perf_counter()
        answer = client.post(path, json=body)
        milliseconds = (time.perf_counter() - began) * 1000
        if "retry-after" not in answer.headers:
            break
        time.sleep(float(answer.headers["retry-after"]))
    return answer, milliseconds


def _told(answer: httpx.Response) -> Mapping[str, Any]:
    if not answer.is_success:
        raise MlopsError(f"the online service answered {answer.status_code}: {answer.text[:300]}")
    (told,) = answer.json()["predictions"]
    found: Mapping[str, Any] = told
    return found


def _is_served(client: httpx.Client, model_id: str) -> bool:
    try:
        return client.get(f"/v2/models/{model_id}/ready").is_success
    except httpx.TransportError:
        return False


def _end(night: str) -> str:
    return partitions.end_of(night).isoformat()
