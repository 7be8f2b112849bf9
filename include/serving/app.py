"""The application: FastAPI for people and probes, around the routes that predict.

What belongs here: routes that are read (health, models, metrics, documents), and what starts and ends with the process.
What does not: predicting (``http_routes``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from include.serving.answers import Answerer
from include.serving.door import Door
from include.serving.http_routes import INFERENCE, AsgiApp, Limits, PredictionRoutes
from include.serving.lineup import Lineup
from include.serving.metrics import CONTENT_TYPE, render
from include.serving.openapi import describe
from include.serving.prediction_service import PredictionService
from include.serving.protocols import OIP_TYPES
from include.serving.refusal import Refusal

_REFRESH_S = 1.0


def make_app(service: PredictionService, door: Door, *, limits: Limits | None = None) -> AsgiApp:
    """Return the ASGI application of a service.

    Parameters
    ----------
    service : PredictionService
        Its roster follows the ledger from the application's start to its end.
    door : Door
    limits : Limits, optional
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.roster.keep_fresh(_REFRESH_S)
        async with service.record.kept():
            yield
        service.roster.stop()

    app = FastAPI(title="Models", version="1", lifespan=lifespan, openapi_url="/openapi.json", redoc_url=None)
    app.openapi = lambda: describe(service)  # type: ignore[method-assign]
    _add_health(app, service)
    _add_models(app, service)
    routes = PredictionRoutes(service, app, limits or Limits(), door)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(render(service, routes.in_flight), media_type=CONTENT_TYPE)

    return routes


def _add_health(app: FastAPI, service: PredictionService) -> None:
    @app.get("/healthz")
    @app.get("/v2/health/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    @app.get("/ping")
    @app.get("/v2/health/ready")
    async def ready() -> JSONResponse:
        waiting = [model_id for model_id in service.specs if model_id not in service.roster.lineups]
        said = {"status": "ready"} if not waiting else {"status": "waiting", "models": waiting}
        return JSONResponse(said, 503 if waiting else 200)


def _add_models(app: FastAPI, service: PredictionService) -> None:
    @app.exception_handler(Refusal)
    async def refuse(request: Request, no: Refusal) -> Response:
        body = no.body("", is_inference=request.url.path.startswith(INFERENCE))
        return Response(body, no.status, media_type="application/json")

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        read_at = service.roster.read_at
        return {
            "ledger_read_at": None if read_at is None else read_at.isoformat(),
            "models": [_model(service, model_id) for model_id in service.specs],
        }

    @app.get("/v2/models/{model}")
    @app.get("/v2/models/{model}/versions/{version}")
    async def metadata(model: str, version: str | None = None) -> dict[str, object]:
        serving = service.served(model, version)
        return {
            "name": model,
            "versions": [str(serving.version)],
            "platform": "onnx",
            "inputs": [
                {"name": name, "datatype": OIP_TYPES.get(dtype, "FP64"), "shape": [-1]}
                for name, dtype in serving.signature.features
            ],
            "outputs": [
                {"name": "probability", "datatype": "FP32", "shape": [-1]},
                {"name": "prediction", "datatype": "INT64", "shape": [-1]},
            ],
        }

    @app.get("/v2/models/{model}/ready")
    @app.get("/v2/models/{model}/versions/{version}/ready")
    async def model_ready(model: str, version: str | None = None) -> dict[str, object]:
        service.served(model, version)
        return {"name": model, "ready": True}


def _model(service: PredictionService, model_id: str) -> dict[str, Any]:
    said, lineup = service.roster.said.get(model_id), service.roster.lineups.get(model_id)
    return {
        "model": model_id,
        "registered_name": service.specs[model_id].registered_name,
        "task": service.specs[model_id].task,
        "versions": _versions(lineup),
        "problem": None if said is None else said.problem,
    }


def _versions(lineup: Lineup[Answerer] | None) -> list[dict[str, object]]:
    return [
        {
            "version": each.version.version,
            "role": each.version.role,
            "sha256": each.version.sha256,
            "feature_service": each.version.signature.feature_service,
            "features": dict(each.version.signature.features),
        }
        for each in (lineup.members if lineup is not None else ())
    ]
