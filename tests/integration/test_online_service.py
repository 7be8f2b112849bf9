"""The online service over HTTP, on a small shop with three models in Production: PostgreSQL, MLflow, the lake."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpx
import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import schemathesis
from click.testing import CliRunner
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tritonclient.http import InferenceServerClient as TritonClient
from tritonclient.http import InferInput as TritonTensor
from tritonclient.http import InferRequestedOutput as TritonOutput
from tritonclient.utils import InferenceServerException

from include import partitions
from include.adapters.deployment import Deployment
from include.adapters.state.registrations import Registration
from include.adapters.state.state_store import StateStoreAdapter
from include.cli.serving import serving as serving_cli
from include.errors import MlopsError, UsageError
from include.governance import lifecycle
from include.governance.lifecycle import LedgerMove, MoveRequest
from include.monitoring.serving_windows import add_up
from include.question.matrix import feature_matrix
from include.serving import online_features, shared_rows
from include.serving.api_keys import ApiKeys
from include.serving.candidates import Candidates
from include.serving.online_versions import OnlineVersions, look_at
from include.serving.prediction_service import PredictionService
from include.serving.start import make_server, open_service
from include.settings import PROJECT_ROOT
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.steps.build_training_set import build_training_set
from include.steps.read_night import read_partition
from include.steps.score_batch import score_batch
from include.steps.train_model import train_model
from tests.deployments import deployed_beside
from tests.engines import RedisServer
from tests.everyday import members
from tests.served_shop import MODELS, NIGHT, move, play_shop, train_and_promote, write_specs

pytestmark = pytest.mark.timeout(600)

AT = partitions.end_of(NIGHT).isoformat()


@contextmanager
def serving(service: PredictionService) -> Iterator[str]:
    """Answer on a free port of 127.0.0.1; give the address."""
    server = make_server(service, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def deployment(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("served")
    with deployed_beside(home, folder, "served", specs=write_specs(folder / "specs")) as made:
        play_shop(made, folder)
        for model in MODELS:
            score_batch(made, model, partition=NIGHT)
        yield made


@pytest.fixture(scope="module")
def service(deployment: Deployment) -> PredictionService:
    return open_service(deployment, [load_model(model) for model in MODELS])


@pytest.fixture(scope="module")
def address(service: PredictionService) -> Iterator[str]:
    with serving(service) as found:
        yield found


def ask(address: str, model: str, body: object, *, expect: int = 200) -> dict:
    answer = httpx.post(f"{address}/v1/models/{model}/predict", json=body, timeout=30)
    assert answer.status_code == expect, answer.text
    return answer.json()


def predicted(deployment: Deployment, model: str) -> pa.Table:
    return deployment.lake.read(f"predictions/{model}", start=NIGHT, end=NIGHT)


@pytest.mark.parametrize("model", ["churn", "fraud"])
def test_online_scores_are_those_of_the_night(address: str, deployment: Deployment, model: str) -> None:
    rows = predicted(deployment, model)
    (key,) = load_model(model).entity.keys
    assert rows.num_rows > 20

    for start in range(0, rows.num_rows, 1000):
        some = rows.slice(start, 1000)
        body = {"entities": [{key: entity} for entity in some[key].to_pylist()], "at": AT}
        answers = ask(address, model, body)["predictions"]

        assert {answer["standing"] for answer in answers} == {"scored"}
        np.testing.assert_allclose([a["probability"] for a in answers], some["score"].to_numpy(), rtol=0, atol=1e-6)
        assert [bool(answer["prediction"]) for answer in answers] == some["decision"].to_pylist()
        assert {(answer["model_version"], answer["role"]) for answer in answers} == {(1, "champion")}


@pytest.mark.parametrize("is_binary", [True, False], ids=["bytes", "json"])
def test_tritons_own_client_gets_the_scores_of_the_night(address: str, deployment: Deployment, is_binary: bool) -> None:
    spec = load_model("churn")
    inputs = read_partition(deployment, spec, NIGHT, service=spec.features.service)
    names = inputs.features
    whole = inputs.rows if is_binary else inputs.rows.drop_null()  # its JSON writes NaN, which is none
    rows = whole.slice(0, 200)
    with TritonClient(address.removeprefix("http://")) as client:
        assert client.is_server_ready()
        assert (client.is_model_ready("churn", "1"), client.is_model_ready("churn", "9")) == (True, False)
        types = {each["name"]: each["datatype"] for each in client.get_model_metadata("churn")["inputs"]}
        assert set(types) == set(names)
        tensors = []
        for name in reversed(names):
            dtype = {"FP64": np.float64, "INT64": np.int64}[types[name]]
            values = np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=dtype)
            tensors.append(TritonTensor(name, [len(values)], types[name]))
            tensors[-1].set_data_from_numpy(values, binary_data=is_binary)
        wanted = [TritonOutput("probability", binary_data=is_binary)]
        answer = client.infer("churn", tensors, outputs=wanted, request_id="mine")
        assert answer.get_response()["id"] == "mine"
        found = answer.as_numpy("probability")
        if is_binary:
            assert set(client.infer("churn", tensors).as_numpy("prediction").tolist()) <= {0, 1}
        with pytest.raises(InferenceServerException, match=names[0]):
            client.infer("churn", tensors[:-1])
    assert rows.num_rows > 20
    scores = predicted(deployment, "churn").select(["customer_id", "score"])
    expected = rows.select(["customer_id"]).join(scores, "customer_id").sort_by("customer_id")["score"]
    order = pc.sort_indices(rows["customer_id"]).to_numpy()
    np.testing.assert_allclose(found[order], expected.to_numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_online_vectors_are_those_of_the_night_to_the_bit(
    service: PredictionService, deployment: Deployment, model: str
) -> None:
    spec, answerer = load_model(model), service.roster.lineups[model].champion
    inputs = read_partition(deployment, spec, NIGHT, service=answerer.version.signature.feature_service)
    keys = list(zip(*(inputs.rows[key].to_pylist() for key in spec.entity.keys), strict=True))
    asked = [key[0] for key in keys] if len(spec.entity.keys) == 1 else keys

    # In pieces, each of which the store answers within its time also on a busy machine.
    pieces = (asked[n : n + 200] for n in range(0, len(asked), 200))
    rows = [row for piece in pieces for row in answerer.reader._read(piece, partitions.end_of(NIGHT))]

    assert {row.standing for row in rows} == {"scored"}
    found = np.stack([row.values for row in rows]).astype(np.float32)
    expected = feature_matrix(inputs.rows, answerer.version.signature.feature_names)
    np.testing.assert_array_equal(found.view(np.uint32), expected.view(np.uint32))


def test_online_lists_are_those_of_the_night(address: str, deployment: Deployment) -> None:
    rows = predicted(deployment, "recommendation").to_pandas()
    top_k = load_model("recommendation").ranking.top_k
    customers = sorted(rows["customer_id"].unique())[:50]

    answers = ask(address, "recommendation", {"entities": [{"customer_id": c} for c in customers], "at": AT})

    for customer, answer in zip(customers, answers["predictions"], strict=True):
        mine = rows[rows["customer_id"] == customer].sort_values("rank")
        expected = mine[mine["rank"] <= top_k]
        assert answer["candidates"] == len(mine)
        assert [item["item"] for item in answer["items"]] == expected["category"].tolist()
        assert [item["rank"] for item in answer["items"]] == expected["rank"].tolist()
        np.testing.assert_allclose([item["score"] for item in answer["items"]], expected["score"], rtol=0, atol=1e-6)
    three = ask(address, "recommendation", {"entities": [{"customer_id": customers[0]}], "at": AT, "k": 3})
    assert three["predictions"][0]["items"] == answers["predictions"][0]["items"][:3]


def whole_row(service: PredictionService, model: str) -> dict[str, float | None]:
    features = service.roster.lineups[model].champion.version.signature.features
    return {name: (7 if dtype == "int64" else 2.5) for name, dtype in features}


def test_every_protocol_gives_the_same_score(service: PredictionService, address: str) -> None:
    row = whole_row(service, "churn")
    turned = dict(reversed(row.items()))
    tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in turned.items()]

    score = ask(address, "churn", {"instances": [row]})["predictions"][0]["probability"]
    found = [
        ask(address, "churn", {"instances": [turned]})["predictions"][0]["probability"],
        httpx.post(f"{address}/v1/models/churn/invocations", json={"dataframe_records": [turned]}).json()[
            "predictions"
        ][0],
        httpx.post(f"{address}/v2/models/churn/infer", json={"inputs": tensors}).json()["outputs"][0]["data"][0],
    ]

    assert found == [score] * len(found)


def test_a_service_of_one_model_speaks_the_short_forms_and_mlflows_own_client(
    deployment: Deployment, service: PredictionService
) -> None:
    row = whole_row(service, "fraud")
    with serving(open_service(deployment, [load_model("fraud")])) as address:
        flat = httpx.post(f"{address}/predict", json=row).json()
        client = ScoringServerClient("127.0.0.1", int(address.rpartition(":")[2]))
        client.wait_server_ready(timeout=10, scoring_server_proc=_Running())
        frame = pd.DataFrame([row])[list(reversed(row))]
        told = client.invoke(frame).get_predictions()

    assert set(flat) == {"prediction", "probability", "model_version"}
    assert told.iloc[0, 0] == flat["probability"]


class _Running:
    """What MLflow's client asks after a server that it believes to have started."""

    def poll(self) -> None:
        return None


def test_a_flat_object_does_not_say_which_of_several_models_it_is_for(address: str) -> None:
    answer = httpx.post(f"{address}/predict", json={})

    assert answer.status_code == 404
    assert "churn, fraud, recommendation" in answer.json()["error"]["message"]


def test_given_features_stand_in_for_those_of_the_store(
    service: PredictionService, address: str, deployment: Deployment
) -> None:
    whole = whole_row(service, "churn")
    body = {"entities": [{"customer_id": predicted(deployment, "churn")["customer_id"][0].as_py()}], "at": AT}

    def score(**more: object) -> float:
        return ask(address, "churn", {**body, **more})["predictions"][0]["probability"]

    changed = {score(instances=[{name: value}]) for name, value in whole.items()}
    assert score() == score(instances=[{}])
    assert changed != {score()}
    assert score(instances=[whole]) == ask(address, "churn", {"instances": [whole]})["predictions"][0]["probability"]
    told = ask(address, "churn", {**body, "features": True})["predictions"][0]["features"]
    assert {each["status"] for each in told.values()} == {"present"}


def test_who_is_not_asked_about_gets_no_score_and_the_reason(address: str, deployment: Deployment) -> None:
    rows = deployment.lake.read("features/customer_daily", start=NIGHT, end=NIGHT, columns=["customer_id"])
    asked = set(predicted(deployment, "churn")["customer_id"].to_pylist())
    outside = next(each for each in rows["customer_id"].to_pylist() if each not in asked)
    one = next(iter(asked))
    body = {"entities": [{"customer_id": each} for each in ("nobody", outside, one)], "at": AT}

    answers = ask(address, "churn", body)["predictions"]
    later = ask(address, "churn", {**body, "at": "2027-01-01T00:00:00Z"})["predictions"]

    assert [answer["standing"] for answer in answers] == ["unknown", "outside", "scored"]
    assert [answer["standing"] for answer in later] == ["unknown", "stale", "stale"]
    assert [answer["probability"] is None for answer in answers] == [True, True, False]


def test_a_wrong_question_is_told_what_is_expected(address: str) -> None:
    no = ask(address, "churn", {"instances": [{"total_orders_30d": 1}]}, expect=422)["error"]

    assert no["code"] == "unprocessable"
    assert "days_since_last_order" in no["details"]["missing"]
    assert no["details"]["expected"]["days_since_last_order"] == "int64"
    assert ask(address, "chrun", {}, expect=404)["error"]["message"].startswith(
        "no model 'chrun' is served; did you mean"
    )


def test_where_keys_were_made_only_probes_are_answered_without(deployment: Deployment, tmp_path: Path) -> None:
    keyed = Deployment(replace(deployment.settings, home=tmp_path))
    key, made = ApiKeys(tmp_path).add("shop", models=["churn"])
    body = {"entities": [{"customer_id": "nobody"}]}

    with serving(open_service(keyed, [load_model(model) for model in ("churn", "fraud")])) as address:
        paths = ("/healthz", "/readyz", "/v1/models", "/openapi.json", "/docs")
        assert [httpx.get(f"{address}{path}").status_code for path in paths] == [200, 200, 401, 401, 401]
        assert ask(address, "churn", body, expect=401)["error"]["code"] == "no_key"

        def with_key(model: str) -> httpx.Response:
            return httpx.post(f"{address}/v1/models/{model}/predict", json=body, headers={"X-Api-Key": key})

        assert [with_key(model).status_code for model in ("churn", "fraud")] == [200, 403]
        ApiKeys(tmp_path).revoke(made.key_id)
        assert with_key("churn").json()["error"]["code"] == "invalid_key"


def test_others_than_this_machine_are_not_let_in_without_a_key(service: PredictionService) -> None:
    with pytest.raises(UsageError, match="make one with mlops serving keys add"):
        make_server(service, host="0.0.0.0", port=0)


def test_documents_probes_and_models_tell_what_is_served(address: str, deployment: Deployment) -> None:
    def get(path: str) -> httpx.Response:
        return httpx.get(f"{address}{path}")

    assert [get(path).status_code for path in ("/healthz", "/readyz", "/ping", "/v2/health/live")] == [200] * 4
    (churn,) = [each for each in get("/v1/models").json()["models"] if each["model"] == "churn"]
    registration = deployment.state.registration("churn", 1)
    assert registration is not None
    assert churn["versions"][0]["sha256"] == registration.files["model.onnx"]
    assert churn["problem"] is None
    assert get("/v2/models/churn").json()["versions"] == ["1"]
    of_versions = [f"/v2/models/churn/versions/{n}{more}" for n in (1, 9) for more in ("", "/ready")]
    assert [get(path).status_code for path in of_versions] == [200, 200, 404, 404]
    assert "/v1/models/churn/predict" in get("/openapi.json").json()["paths"]
    assert get("/docs").status_code == 200


def test_a_version_that_is_promoted_answers_soon_and_no_request_fails(
    service: PredictionService, address: str, deployment: Deployment
) -> None:
    body = json.dumps({"instances": [whole_row(service, "fraud")]})
    seen: list[tuple[int, int]] = []
    is_over = threading.Event()

    def load() -> None:
        with httpx.Client() as client:
            while not is_over.is_set():
                answer = client.post(f"{address}/v1/models/fraud/predict", content=body)
                seen.append((answer.status_code, answer.json().get("model_version", 0)))
                time.sleep(0.02)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    version = train_and_promote(deployment, "fraud", as_of=partitions.shift(NIGHT, -3))
    end = time.monotonic() + 20
    while (not seen or seen[-1][1] != version) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    is_over.set()
    for thread in threads:
        thread.join()

    assert {status for status, _ in seen} == {200}
    assert {served for _, served in seen} == {1, version}


def test_bytes_that_the_ledger_does_not_pin_are_never_served(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registration = deployment.state.registration("churn", 1)
    assert registration is not None
    monkeypatch.setattr("include.serving.version_files.VersionFiles._keep", lambda *_: None)
    root = Path(deployment.settings.mlflow_artifact_uri.removeprefix("file://"))
    path = root / "churn-predictor" / registration.run_id / "artifacts" / "model" / "model.onnx"
    kept = deployment.settings.home / "cache" / "served" / registration.files["model.onnx"]
    kept.unlink(missing_ok=True)
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        served = open_service(deployment, [load_model("churn")])
    finally:
        path.write_bytes(whole)

    assert "churn" not in served.roster.lineups
    assert "the ledger says" in str(served.roster.said["churn"].problem)
    served.roster.refresh()
    assert served.roster.lineups["churn"].champion.version.version == 1


def test_a_model_that_breaks_while_it_is_loaded_keeps_no_other_from_answering(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("no such column")

    monkeypatch.setattr("include.serving.candidates.Candidates.follow", broken)

    served = open_service(deployment, [load_model(model) for model in MODELS])

    assert sorted(served.roster.lineups) == ["churn", "fraud"]
    assert "KeyError" in str(served.roster.said["recommendation"].problem)


def test_a_challenger_that_cannot_be_loaded_takes_nothing_from_the_champion(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_SPECS", str(write_specs(tmp_path, recommendation={"canary_share": 0.5})))
    moves, registration = StateStoreAdapter.ledger, StateStoreAdapter.registration

    def with_challenger(state: StateStoreAdapter, model_id: str) -> tuple[LedgerMove, ...]:
        found = moves(state, model_id)
        return (*found, *lifecycle.stage_candidate(found, MoveRequest(model_id, 9, NIGHT, "tester", "a test", None)))

    def of_the_first(state: StateStoreAdapter, model_id: str, version: int) -> Registration | None:
        found = registration(state, model_id, 1)
        return found if version == 1 or found is None else replace(found, run_id="gone")

    monkeypatch.setattr(StateStoreAdapter, "ledger", with_challenger)
    monkeypatch.setattr(StateStoreAdapter, "registration", of_the_first)
    monkeypatch.setattr("include.serving.version_files.VersionFiles._keep", lambda *_: None)
    shutil.rmtree(deployment.settings.home / "cache" / "served", ignore_errors=True)

    served = open_service(deployment, [load_model("recommendation")])

    lineup = served.roster.lineups["recommendation"]
    assert (lineup.champion.version.version, lineup.challenger) == (1, None)
    assert "version 9 is not served" in str(served.roster.said["recommendation"].problem)


def test_what_may_be_in_a_list_follows_the_nights(deployment: Deployment) -> None:
    spec, earlier = load_model("recommendation"), partitions.shift(NIGHT, -1)
    lake = SimpleNamespace(read=lambda table, start, end: rows(start))

    def rows(night: str) -> pa.Table:
        found = deployment.lake.read("features/customer_category_daily", start=NIGHT, end=NIGHT)
        return found if night == NIGHT else found.filter(pc.not_equal(found["category"], found["category"][0]))

    nights = iter([earlier, earlier, NIGHT])
    state = SimpleNamespace(newest_publication=lambda table: next(nights))
    candidates = Candidates(SimpleNamespace(state=state, lake=lake, duckdb=deployment.duckdb), spec)
    seen = []
    for _ in range(3):
        candidates._looked_at = -1e9
        candidates.follow()
        candidates.follow()
        seen.append(len(candidates.items))

    assert seen[0] == seen[1] == seen[2] - 1


def test_the_process_that_answers_needs_no_more_than_its_image_has(deployment: Deployment) -> None:
    code = """
import asyncio, builtins, json, sys
from importlib.metadata import packages_distributions

allowed, of, found = set(json.loads(sys.argv[1])), packages_distributions(), builtins.__import__

def importing(name, where=None, names=None, wanted=(), level=0):
    owners = {owner.lower().replace("_", "-") for owner in of.get(name.partition(".")[0], ())}
    if level == 0 and owners and not owners & allowed:
        raise ModuleNotFoundError(f"No module named {name!r} in the image", name=name)
    return found(name, where, names, wanted, level)

builtins.__import__ = importing
from include.adapters.deployment import Deployment
from include.serving.exchange import Exchange
from include.serving.start import make_server, open_service
from include.specs.models import load_models

async def ask():
    for model, key in (("churn", "customer_id"), ("fraud", "order_id"), ("recommendation", "customer_id")):
        body = json.dumps({"entities": [{key: "x"}]}).encode()
        assert (await service.predict(body, Exchange("1", 0, model))).predictions

service = open_service(Deployment.from_env(), load_models())
make_server(service, host="127.0.0.1", port=0).config.load()
asyncio.run(ask())
print([name for name in ("airflow", "feast", "mlflow", "xgboost", "sklearn") if name in sys.modules])
"""
    lines = (PROJECT_ROOT / "requirements-serving.txt").read_text().splitlines()
    packages = [line.partition("==")[0].partition("[")[0] for line in lines if "==" in line and line[0] != "#"]
    ended = subprocess.run(
        [sys.executable, "-c", code, json.dumps([*packages, "airflow-mlops"])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (ended.stdout.strip(), ended.returncode) == ("[]", 0), ended.stderr


def test_what_is_served_is_served_on_while_the_ledger_cannot_be_read(deployment: Deployment) -> None:
    served = open_service(deployment, [load_model("churn")])
    champion = served.roster.lineups["churn"].champion
    nowhere = Deployment(deployment.settings)
    vars(nowhere)["state"] = StateStoreAdapter("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    served.roster.deployment = nowhere

    with pytest.raises(MlopsError, match="can't be reached"):
        served.roster.refresh()

    assert served.roster.lineups["churn"].champion is champion


@pytest.mark.parametrize("examples", members([10, 25], daily=[10]))
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_whatever_the_document_allows_or_forbids_is_answered_as_it_says(
    address: str, mode: schemathesis.GenerationMode, examples: int
) -> None:
    document = schemathesis.openapi.from_url(f"{address}/openapi.json")
    asked = [found.ok() for found in document.get_all_operations()]
    operations = [operation for operation in asked if operation.body or mode is schemathesis.GenerationMode.POSITIVE]
    assert len(operations) >= 2 * len(MODELS)
    statuses: Counter[int] = Counter()
    for operation in operations:

        @hypothesis.settings(
            max_examples=examples, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def answer(case: schemathesis.Case) -> None:
            found = case.call()
            statuses[found.status_code] += 1
            assert found.status_code < 500, found.text
            assert "Traceback" not in found.text
            case.validate_response(
                found, checks=[status_code_conformance, content_type_conformance, response_schema_conformance]
            )

        answer()
    assert statuses[200 if mode is schemathesis.GenerationMode.POSITIVE else 422] > 20


def test_what_was_answered_is_in_the_lake_in_the_metrics_and_in_the_minutes(deployment: Deployment) -> None:
    asked = predicted(deployment, "churn")["customer_id"].to_pylist()[:20]
    lists = sorted(set(predicted(deployment, "recommendation")["customer_id"].to_pylist()))[:3]
    served = open_service(deployment, [load_model("churn"), load_model("recommendation")])
    with serving(served) as address:
        entities = [{"customer_id": each} for each in asked]
        told = ask(address, "churn", {"entities": entities, "at": AT})
        ask(address, "churn", {"instances": [whole_row(served, "churn")]})
        told_lists = ask(address, "recommendation", {"entities": [{"customer_id": each} for each in lists], "at": AT})
        ask(address, "churn", {"instances": [{}]}, expect=422)
        httpx.post(f"{address}/v1/models/chrun/predict", json={})
        metrics = httpx.get(f"{address}/metrics").text
    process = served.record.log.process

    def logged(model: str) -> pa.Table:
        rows = deployment.lake.read(f"online_vectors/{model}")
        return rows.filter(pc.equal(rows["service_process"], process)).sort_by("sequence_number")

    of_entities, of_row = logged("churn").slice(0, 20), logged("churn").slice(20)
    assert logged("churn")["sequence_number"].to_pylist() == list(range(1, 22))
    assert of_entities["customer_id"].to_pylist() == asked
    assert set(of_entities["request_id"].to_pylist()) == {told["request_id"]}
    scores = [answer["probability"] for answer in told["predictions"]]
    np.testing.assert_array_equal(of_entities["score"].to_numpy(), np.float32(scores))
    champion = served.roster.lineups["churn"].champion
    vectors = feature_matrix(of_entities, champion.version.signature.feature_names)
    np.testing.assert_array_equal(champion.version.score(vectors), np.float32(scores))
    assert (of_row["customer_id"].to_pylist(), of_row["vector_source"].to_pylist()) == ([None], ["given"])
    candidates = sum(answer["candidates"] for answer in told_lists["predictions"])
    assert logged("recommendation").num_rows - logged("recommendation")["score"].null_count == candidates

    assert 'mlops_requests_total{model="churn",role="champion",version="1"} 3.0' in metrics
    assert 'mlops_errors_total{model="churn",role="champion",status="422",version="1"} 1.0' in metrics
    assert 'mlops_stray_requests_total{status="404"} 1.0' in metrics
    assert 'mlops_latency_seconds_count{model="churn",role="champion",version="1"} 2.0' in metrics
    today = datetime.now(UTC)
    windows = deployment.state.serving_windows("churn", today - timedelta(hours=1), today)
    total = add_up(window for window in windows if window.process == process)
    assert (total.requests, total.rows, total.errors, sum(total.latency.values())) == (3, 21, {422: 1}, 2)
    command = ["windows", "--model", "churn", "--date", f"{today:%Y-%m-%d}", "--json"]
    shown = json.loads(CliRunner().invoke(serving_cli, command, catch_exceptions=False).stdout)
    assert sum(line["rows"] for line in shown["day"]) == sum(line["rows"] for line in shown["minutes"]) >= 21
    assert shown["logged"] >= 21


@contextmanager
def served_by_a_process(model: str) -> Iterator[str]:
    """Answer in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from include.cli.main import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--model", model, "--port", str(port)], stdout=subprocess.DEVNULL
    ) as process:
        address, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
        try:
            while time.monotonic() < end and not _is_ready(address):
                time.sleep(0.05)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)


def ask_until_answered(address: str, model: str, people: list[str]) -> None:
    """Ask about people, again where the store was too slow: on a machine that is busy it may be."""
    body = {"entities": [{"customer_id": each} for each in people]}
    end = time.monotonic() + 60
    while (answer := httpx.post(f"{address}/v1/models/{model}/predict", json=body, timeout=30)).status_code == 503:
        assert time.monotonic() < end, answer.text
        time.sleep(0.1)
    assert answer.status_code == 200, answer.text


def _is_ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def challenger(deployment: Deployment) -> int:
    """A version of churn in Staging."""
    as_of = partitions.shift(NIGHT, -3)
    version = train_model(deployment, build_training_set(deployment, "churn", as_of=as_of)).version
    move(deployment, "churn", version, as_of, lifecycle.stage_candidate)
    return version


def test_a_challenger_that_looks_on_is_in_the_log_and_in_no_answer(deployment: Deployment, challenger: int) -> None:
    spec = load_model("churn")
    spec = spec.model_copy(update={"serving": spec.serving.model_copy(update={"shadow": True, "canary_share": 0.3})})
    served = open_service(deployment, [spec])
    asked = predicted(deployment, "churn")["customer_id"].to_pylist()[:40]
    with serving(served) as address:
        told = ask(address, "churn", {"entities": [{"customer_id": each} for each in asked], "at": AT})["predictions"]
        row = ask(address, "churn", {"instances": [whole_row(served, "churn")]})["predictions"]
        unseen = next(each for each in served.record.recorder.tallies() if each.role == "shadow")
        end = time.monotonic() + 20
        while unseen.rows < sum(answer["role"] == "champion" for answer in [*told, *row]) and time.monotonic() < end:
            time.sleep(0.02)

    rows = deployment.lake.read("online_vectors/churn").to_pylist()
    mine = [row for row in rows if row["service_process"] == served.record.log.process]
    answers = {row["customer_id"]: row["role"] for row in mine if row["is_answer"]}
    looked_on = [row for row in mine if not row["is_answer"]]
    roles = {"champion", "challenger"}
    assert {answer["role"] for answer in told} == roles
    assert answers == {None: "champion"} | dict(zip(asked, (answer["role"] for answer in told), strict=True))
    assert {row["customer_id"] for row in looked_on} == {each for each, role in answers.items() if role == "champion"}
    assert {(row["role"], row["model_version"]) for row in looked_on} == {("challenger", challenger)}
    version = served.roster.lineups["churn"].challenger.version
    vectors = feature_matrix(pa.Table.from_pylist(looked_on), version.signature.feature_names)
    np.testing.assert_array_equal([row["score"] for row in looked_on], version.score(vectors))


def test_a_service_answers_by_what_another_one_has_read(
    deployment: Deployment, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_model("churn")
    shared = spec.serving.model_copy(update={"cache_in": "redis", "cache_seconds": 60.0})
    spec = spec.model_copy(update={"serving": shared})
    beside = Deployment(replace(deployment.settings, serving_cache_url=redis.url))
    now = partitions.end_of(NIGHT) + timedelta(hours=1)
    clock = SimpleNamespace(time_ns=lambda: int(now.timestamp()) * 10**9, time=now.timestamp, monotonic=time.monotonic)
    for module in (online_features, shared_rows):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(online_features, "datetime", SimpleNamespace(now=lambda _: now))
    entities = [{"customer_id": each} for each in predicted(deployment, "churn")["customer_id"].to_pylist()[:20]]
    told, sources = [], []
    for _ in range(2):
        served = open_service(beside, [spec])
        with serving(served) as address:
            told.append(ask(address, "churn", {"entities": entities})["predictions"])
        rows = deployment.lake.read("online_vectors/churn").to_pylist()
        sources.append({row["vector_source"] for row in rows if row["service_process"] == served.record.log.process})

    first, again = told
    assert {each["standing"] for each in first} == {"scored"}
    assert [each["probability"] for each in again] == [each["probability"] for each in first]
    assert sources == [{"store"}, {"cache"}]


def test_what_is_online_is_certain_where_it_is_the_newest_in_the_lake(deployment: Deployment) -> None:
    times = iter((10, 20))
    versions = OnlineVersions(look_at(deployment), lambda: next(times))
    service = load_model("churn").features.service
    for _ in range(2):
        versions.look(service)
    table = load_feature_group(load_model("churn").features.group).table
    (known,) = versions.at(service, np.array([15])).to_pylist()
    assert json.loads(known)[table] == deployment.lake.version(table)


@pytest.mark.parametrize("count", members([5_000, 100_000], daily=[5_000]))
def test_of_many_entities_a_twentieth_is_answered_by_the_challenger_whoever_asks_again(
    deployment: Deployment, challenger: int, count: int
) -> None:
    share = load_model("churn").serving.canary_share
    people = [f"{number} of {count}" for number in range(count)]
    again = np.random.default_rng(3).permutation(people)[: count // 5].tolist()
    here = serving(open_service(deployment, [load_model("churn")]))
    for asked, service in ((people, here), (again, served_by_a_process("churn"))):
        with service as address:
            for start in range(0, len(asked), 1000):
                ask_until_answered(address, "churn", asked[start : start + 1000])

    rows = deployment.lake.read("online_vectors/churn", columns=["customer_id", "role", "service_process", "is_answer"])
    rows = rows.filter(pc.ends_with(rows["customer_id"], f" of {count}"))
    arms = rows.group_by(["customer_id", "role"]).aggregate([]).group_by("role").aggregate([("customer_id", "count")])
    found = dict(zip(arms["role"].to_pylist(), arms["customer_id_count"].to_pylist(), strict=True))
    assert rows.num_rows == count + len(again)
    assert len(set(rows["service_process"].to_pylist())) == 2
    assert set(rows["is_answer"].to_pylist()) == {True}
    # Nobody is in both arms: then they would be more together than there are people.
    assert sum(found.values()) == count
    # 3.9 standard deviations: one run of ten thousand is outside.
    assert share == 0.05
    assert abs(found["challenger"] - share * count) < 3.9 * (count * share * (1 - share)) ** 0.5
