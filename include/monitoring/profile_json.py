"""A reference profile as JSON: what travels with a model's version.

What belongs here: writing a profile and reading it back, in this format and in the one before. What does not: what is
in it (``reference_profile``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from include.errors import UsageError
from include.monitoring.columns import Precision
from include.monitoring.design_effect import DesignEffect
from include.monitoring.feature_profile import FeatureProfile, ReferenceProfile
from include.monitoring.outside import KnownValues, Recurrence
from include.monitoring.quantile_sketch import QuantileSketch

_FORMAT = 2
# It had bins and no more, of numbers that every model keeps in 32 bits.
_BINS_ONLY = 1


def profile_to_json(profile: ReferenceProfile) -> str:
    """Return the profile as JSON; floats keep every bit, in as few digits as their precision needs."""
    features = [asdict(feature) for feature in profile.features]
    for feature in features:
        feature["numbers"]["values"] = _shortest(feature["numbers"]["values"], feature["precision"])
    return json.dumps({"format": _FORMAT, "features": features}, allow_nan=False)


def profile_from_json(text: str) -> ReferenceProfile:
    """Read a profile that `profile_to_json` wrote, or that was written before it kept more than bins.

    Of such a one windows are judged by PSI and by what lies outside, their rows taken for independent; it has nothing
    to tell KS and Wasserstein by, until the next training.

    Raises
    ------
    UsageError
        If `text` is something else, or of another format.
    """
    try:
        value = json.loads(text)
        if value["format"] not in (_BINS_ONLY, _FORMAT):
            raise UsageError(
                f"reference profile of format {value['format']!r}; this code reads {_BINS_ONLY} and {_FORMAT}"
            )
        read = _bins_from if value["format"] == _BINS_ONLY else _feature_from
        return ReferenceProfile(tuple(read(feature) for feature in value["features"]))
    except (ValueError, KeyError, TypeError) as err:
        raise UsageError(f"this is not a reference profile ({err!r}); train the model again") from err


def _bins_from(value: dict[str, Any]) -> FeatureProfile:
    lists = {key: tuple(value[key]) for key in ("edges", "categories", "counts")}
    return FeatureProfile(**{**value, **lists, "precision": "float32"})


def _feature_from(value: dict[str, Any]) -> FeatureProfile:
    lists = {key: tuple(value[key]) for key in ("edges", "categories", "counts", "narrow_counts")}
    numbers, known = value["numbers"], value["known"]
    parts = {
        "numbers": QuantileSketch(**{**numbers, "values": _exact(numbers["values"], value["precision"])}),
        "known": None if known is None else _known_from(known),
        "effect": DesignEffect(**value["effect"]),
    }
    return FeatureProfile(**{**value, **lists, **parts})


def _known_from(value: dict[str, Any]) -> KnownValues:
    return KnownValues(tuple(value["hashes"]), value["below"], Recurrence(**value["recurrence"]), value.get("most", 0))


def _shortest(values: Sequence[float], precision: Precision) -> list[float]:
    return [float(str(np.float32(value))) for value in values] if precision == "float32" else list(values)


def _exact(values: Sequence[float], precision: Precision) -> tuple[float, ...]:
    return tuple(float(np.float32(value)) for value in values) if precision == "float32" else tuple(values)
