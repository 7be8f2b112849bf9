"""The servers that the race of online answers asks: this project's, and what others put around the same model.

What belongs here: each server's application or command, over one ONNX file. What does not: asking them
(``online_serving``).

All answer one row of 20 floats. Each is at its strongest known setting: one process, uvloop, httptools, no log of
requests, one thread of ONNX Runtime.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from include.serving.online_features import ReadPlan

FEATURES = [f"f{n}" for n in range(20)]
MODEL = "churn"


def make_model(folder: Path, features: Sequence[str], *, trees: int = 500, depth: int = 6) -> None:
    """Fit a model, and write it for all servers: ``model.onnx``, and as MLflow keeps one."""
    import mlflow
    import onnx
    import xgboost

    from include.training.conversion import to_onnx

    rng = np.random.default_rng(7)
    rows = rng.normal(size=(20_000, len(features))).astype(np.float32)
    labels = (rows[:, :5].sum(axis=1) + rng.normal(size=len(rows)) > 0).astype(int)
    data = xgboost.DMatrix(rows, labels, feature_names=list(features))
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": depth, "eta": 0.05, "base_score": 0.5},
        data,
        num_boost_round=trees,
    )
    content = to_onnx(booster)
    (folder / "model.onnx").write_bytes(content)
    mlflow.onnx.save_model(
        onnx.load_from_string(content),
        str(folder / "mlflow"),
        onnx_execution_providers=["CPUExecutionProvider"],
        pip_requirements=["onnxruntime"],
    )


def serve(name: str, folder: str, port: int) -> None:
    """Run one of the servers until it is killed."""
    if name == "mlflow":
        from mlflow.pyfunc import load_model
        from mlflow.pyfunc.scoring_server import init

        run(init(load_model(str(Path(folder) / "mlflow"))), port)
        return
    run(_APPS[name]((Path(folder) / "model.onnx").read_bytes(), folder), port)


def run(app: Any, port: int) -> None:
    """Answer on a port of this machine until the process is killed."""
    import uvicorn

    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def ours(content: bytes, folder: str, names: Sequence[str] = FEATURES, plan: ReadPlan | None = None) -> Any:
    """Return this project's service, with all that it keeps of an answer, and a lineup in place of a ledger's."""
    from include.adapters.deployment import Deployment
    from include.scoring.model import ScoringModel
    from include.serving.answers import Answerer
    from include.serving.api_keys import ApiKeys
    from include.serving.app import make_app
    from include.serving.asks import AskReader
    from include.serving.door import Door
    from include.serving.lineup import Lineup
    from include.serving.online_features import OnlineFeatureReader
    from include.serving.served_version import ServedVersion
    from include.serving.start import make_service, settle
    from include.serving.turns import TurnScorer
    from include.settings import Settings
    from include.specs.models import load_model
    from include.training.artifacts import Signature

    deployment = Deployment(Settings.from_env({"MLOPS_HOME": f"{folder}/home"}))
    spec, features = load_model(MODEL), tuple((name, "float32") for name in names)
    service = make_service(deployment, [spec])
    signature = Signature(spec.features.service, spec.entity.keys, features, "binary")
    version = ServedVersion(spec, 1, "champion", signature, ScoringModel(names, native=b"", onnx=content), "")
    version.warm_up()
    asks = AskReader(spec.entity.keys, features, max_rows=1000)
    tally = service.record.recorder.open_tally(version)
    reader = OnlineFeatureReader(plan or SimpleNamespace())
    if plan is not None:
        reader.start()
    answerer = Answerer(version, asks, TurnScorer(version), reader, tally)
    service.roster.lineups = {MODEL: Lineup(answerer)}
    settle()
    return make_app(service, Door(ApiKeys(deployment.settings.home), is_open=True))


def _fastapi(content: bytes, *, is_async: bool) -> Any:
    """Return the application of the requirements, as it is usually written."""
    from fastapi import FastAPI
    from pydantic import create_model

    session, app = _session(content), FastAPI()
    row: Any = create_model("Row", **{name: (float, ...) for name in FEATURES})

    def answer(given: Any) -> dict[str, object]:
        values = np.array([[getattr(given, name) for name in FEATURES]], dtype=np.float32)
        probability = float(session.run(None, {"features": values})[1][0, 1])
        return {"prediction": int(probability > 0.5), "probability": probability, "model_version": "1"}

    def plain(given: row) -> dict[str, object]:
        return answer(given)

    async def without_threads(given: row) -> dict[str, object]:
        return answer(given)

    route = without_threads if is_async else plain
    route.__annotations__["given"] = row
    app.post("/predict")(route)
    return app


def _echo(content: bytes, folder: str) -> Any:
    """Return the floor: ASGI and JSON, no model."""
    import msgspec

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        msgspec.json.decode((await receive()).get("body") or b"{}")
        body = msgspec.json.encode({"prediction": 1, "probability": 0.5, "model_version": 1})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


_APPS: dict[str, Callable[[bytes, str], Any]] = {
    "ours": ours,
    "fastapi": lambda content, _: _fastapi(content, is_async=False),
    "fastapi_async": lambda content, _: _fastapi(content, is_async=True),
    "echo": _echo,
}

if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
