"""The section of a model's spec on how it answers online.

What belongs here: its keys and what of them does not fit. What does not: the other sections (``model_sections``), and
serving.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from include.specs.yaml_files import Fraction, Frozen


class ServingSpec(Frozen):
    """How a model answers online; each key has a value that serves, so that the section may be left out."""

    canary_share: Annotated[
        Fraction, Field(description="of entities, by a hash of the key, that the version in Staging answers")
    ] = 0.0
    shadow: Annotated[
        bool, Field(description="true: the version in Staging scores what it does not answer, unseen, into the log")
    ] = False
    log_share: Annotated[
        Fraction, Field(description="of entities, by a hash of the key, whose answers are kept in the lake")
    ] = 1.0
    store_timeout_ms: Annotated[
        int, Field(ge=1, le=60_000, description="milliseconds that an answer waits for the online store, at most")
    ] = 250
    store_down: Annotated[
        Literal["refuse", "stale", "default"],
        Field(
            description="what is answered when the online store is not: 503, by the last values that were read of the "
            "entity, or the default score"
        ),
    ] = "refuse"
    default_score: Annotated[
        float | None, Field(description="the score that store_down: default answers; null: none, which that refuses")
    ] = None
    cache_seconds: Annotated[
        float, Field(ge=0, le=86_400, description="seconds that values read online are used again; 0: never")
    ] = 0.0
    cache_in: Annotated[
        Literal["process", "redis"],
        Field(
            description="where they are kept: in each process, or for all in the Redis of MLOPS_SERVING_CACHE_URL, "
            "beside an online store that is none"
        ),
    ] = "process"

    @model_validator(mode="after")
    def _default_is_a_score(self) -> ServingSpec:
        if (self.store_down == "default") != (self.default_score is not None):
            raise ValueError(
                f"store_down={self.store_down!r} and default_score={self.default_score} do not fit: store_down: "
                "default answers default_score, the others have none; write both, or neither"
            )
        return self

    @model_validator(mode="after")
    def _what_is_kept_has_an_age(self) -> ServingSpec:
        if self.cache_in == "redis" and not self.cache_seconds:
            raise ValueError("cache_in='redis' and cache_seconds=0 do not fit: nothing is kept; write seconds above 0")
        return self
