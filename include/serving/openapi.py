"""The service in OpenAPI: a typed question for each model, as its version in Production reads it.

What belongs here: the document. What does not: the routes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from include.serving.prediction_service import PredictionService

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
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, Any] = {}
    for model_id, lineup in service.roster.lineups.items():
        asks = lineup.champion.asks
        (told,), components = msgspec.json.schema_components(
            [asks.ask], ref_template=f"#/components/schemas/{model_id}.{{name}}"
        )
        schemas |= {f"{model_id}.{name}": schema for name, schema in components.items()}
        spec = service.specs[model_id]
        paths[f"/v1/models/{model_id}/predict"] = {
            "post": _operation(f"predict_{model_id}", spec.description, told),
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Models", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(name: str, summary: str, question: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": _REF.format(name="Error")}}}
    answer = {
        "type": "object",
        "required": ["model", "model_version", "request_id", "predictions"],
        "properties": {
            "model": {"type": "string"},
            "model_version": {"type": "integer"},
            "request_id": {"type": "string"},
            "predictions": {"type": "array", "items": {"type": "object"}},
        },
    }
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": question}}},
        "responses": {
            "200": {"description": "answers, in the order asked", "content": {"application/json": {"schema": answer}}},
            **{status: {"description": why, "content": error} for status, why in _REFUSALS.items()},
        },
    }
