"""The service in OpenAPI: a typed question for each model, as its version in Production reads it.

What belongs here: the document. What does not: the routes.
"""

from __future__ import annotations

from typing import Any

from include.serving.asks import AskReader
from include.serving.prediction_service import PredictionService
from include.specs.models import ModelSpec

_REF = "#/components/schemas/{name}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details", "request_id"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "object"},
                "request_id": {"type": "string"},
            },
        }
    },
}
_INFERENCE_ERROR = {
    "type": "object",
    "required": ["error", "code", "request_id"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}, "request_id": {"type": "string"}},
}
# A feature, in the bounds of what a model can compute with.
_WHOLE = {"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1}
_REAL = {"type": ["number", "null"], "minimum": -3.4e38, "maximum": 3.4e38}
_ANSWER = {
    "type": "object",
    "required": ["model", "model_version", "request_id", "predictions"],
    "properties": {
        "model": {"type": "string"},
        "model_version": {"type": "integer"},
        "request_id": {"type": "string"},
        "predictions": {"type": "array", "items": {"type": "object"}},
    },
}
_SCORES = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"type": "array", "items": {"type": "number"}}},
}
_READ = {
    "/healthz": "whether the process lives",
    "/readyz": "whether every model has a version in Production",
    "/v1/models": "which versions answer, in which role, by which bytes",
}
_REFUSALS = {
    "400": "no JSON",
    "401": "no key, or one that is not known",
    "403": "a key of another model",
    "404": "no such model",
    "408": "the body did not come",
    "413": "the body is too large",
    "422": "not what is expected; details say what is",
    "429": "too many requests of this key",
    "503": "full, or not ready; Retry-After says when to come again",
}


def describe(service: PredictionService) -> dict[str, Any]:
    """Return the OpenAPI document of what is served now."""
    schemas: dict[str, Any] = {"Error": _ERROR, "InferenceError": _INFERENCE_ERROR}
    paths: dict[str, Any] = {}
    for model_id, lineup in service.roster.lineups.items():
        asks = lineup.champion.asks
        schemas[f"{model_id}.Instance"] = _instance(asks, is_whole=True)
        schemas[f"{model_id}.Override"] = _instance(asks, is_whole=False)
        paths |= _of_model(model_id, service.specs[model_id], asks)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Models", "version": "1"},
        "paths": {**paths, **{path: {"get": _read(path)} for path in _READ}},
        "components": {"schemas": schemas},
    }


def _instance(asks: AskReader, *, is_whole: bool) -> dict[str, Any]:
    """Return a row of features; whole, or those that stand in for an entity's own."""
    features = {name: _WHOLE if dtype == "int64" else _REAL for name, dtype in asks.dtypes.items()}
    made: dict[str, Any] = {"type": "object", "properties": features, "additionalProperties": False}
    return {**made, "required": list(features)} if is_whole else made


def _question(asks: AskReader, model_id: str, task: str) -> dict[str, Any]:
    """Return what may be asked: about entities, about whole rows, or about entities with some features given."""

    def many(items: dict[str, Any]) -> dict[str, Any]:
        return {"type": "array", "items": items, "minItems": 1, "maxItems": asks.max_rows}

    keys = {key: {"type": "string"} for key in asks.keys}
    entity = {"type": "object", "properties": keys, "required": list(keys), "additionalProperties": False}
    more: dict[str, Any] = {"at": {"type": "string", "format": "date-time"}, "features": {"type": "boolean"}}
    if task == "ranking":
        more["k"] = {"type": "integer", "minimum": 1, "maximum": 10_000}
    rows = many({"$ref": f"#/components/schemas/{model_id}.Instance"})
    forms = [{"entities": many(entity), **more}, {"instances": rows, **more}]
    if task == "binary":
        override = {"$ref": f"#/components/schemas/{model_id}.Override"}
        one = {"minItems": 1, "maxItems": 1, "type": "array"}
        forms.append({"entities": {**one, "items": entity}, "instances": {**one, "items": override}, **more})
    return {
        "anyOf": [
            {
                "type": "object",
                "properties": form,
                "required": [name for name in form if name not in more],
                "additionalProperties": False,
            }
            for form in forms
        ]
    }


def _of_model(model_id: str, spec: ModelSpec, asks: AskReader) -> dict[str, Any]:
    """Return the routes that ask a model."""
    question, row = _question(asks, model_id, spec.task), {"$ref": f"#/components/schemas/{model_id}.Instance"}
    rows: dict[str, Any] = {"type": "object", "required": ["dataframe_records"], "additionalProperties": False}
    rows["properties"] = {
        "dataframe_records": {"type": "array", "items": row, "minItems": 1, "maxItems": asks.max_rows}
    }
    tensor: dict[str, Any] = {"type": "object", "required": ["name", "shape", "datatype", "data"]}
    tensor["properties"] = {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "data": {"type": "array"},
    }
    tensors = {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "array", "items": tensor}}}
    asked = {
        f"/v1/models/{model_id}/predict": _asked(f"predict_{model_id}", spec.description, question, _ANSWER),
        f"/v1/models/{model_id}/invocations": _asked(f"invoke_{model_id}", "MLflow's protocol", rows, _SCORES),
    }
    if spec.task == "binary":
        title = "Open Inference Protocol"
        asked[f"/v2/models/{model_id}/infer"] = _asked(
            f"infer_{model_id}", title, tensors, {"type": "object"}, error="InferenceError"
        )
    return {path: {"post": operation} for path, operation in asked.items()}


def _asked(name: str, summary: str, question: Any, answer: Any, error: str = "Error") -> dict[str, Any]:
    told = {"application/json": {"schema": {"$ref": _REF.format(name=error)}}}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": question}}},
        "responses": {
            "200": {"description": "answers, in the order asked", "content": {"application/json": {"schema": answer}}},
            **{status: {"description": why, "content": told} for status, why in _REFUSALS.items()},
        },
    }


def _read(path: str) -> dict[str, Any]:
    said = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": path.strip("/").replace("/", "_"),
        "summary": _READ[path],
        "responses": {
            "200": {"description": "as it is now", "content": said},
            "401": {"description": _REFUSALS["401"], "content": said},
            "503": {"description": "not ready", "content": said},
        },
    }
