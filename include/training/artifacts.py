"""The files of a trained version, as bytes by name.

What belongs here: which files there are, and their checksums. What does not: where they are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from include.errors import MlopsError, problems

NATIVE_MODEL = "model.ubj"
ONNX_MODEL = "model.onnx"
SIGNATURE = "signature.json"
REFERENCE_PROFILE = "reference_profile.json"
METRICS = "metrics.json"
MODEL_CARD = "model_card.md"
MANIFEST = "manifest.json"
# `include.scoring.engine_choice.EngineChoice`: what scores nights, and what that was measured by.
ENGINES = "engines.json"
# `include.scoring.onedal_trees.OnedalTrees`, where that was chosen.
ONEDAL_MODEL = "model.onedal"
# `manifest.spec_text`, as it is: its sha256 is the manifest's ``spec_sha256``.
SPEC = "spec.json"
CHECKSUMS = "checksums.json"
# By its name MLflow's own clients know the folder of a model.
MLMODEL = "MLmodel"


@dataclass(frozen=True)
class Signature:
    """What a model reads.

    Attributes
    ----------
    feature_service : str
        Versioned name.
    entity_keys : tuple of str
    features : tuple of (str, str)
        Ordered names, and the dtypes of the feature service; the model casts them to float32.
    task : str
        Of its spec: what a score is.
    """

    feature_service: str
    entity_keys: tuple[str, ...]
    features: tuple[tuple[str, str], ...]
    task: str

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names in the model's order."""
        return tuple(name for name, _ in self.features)

    def to_json(self) -> str:
        """Return the signature as JSON."""
        return to_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Signature:
        """Read a signature that `to_json` wrote.

        Raises
        ------
        MlopsError
            If `text` is something else.
        """
        try:
            value = json.loads(text)
            features = tuple((str(name), str(dtype)) for name, dtype in value["features"])
            keys = tuple(str(key) for key in value["entity_keys"])
            # The first versions do not say: they are classifiers.
            return cls(str(value["feature_service"]), keys, features, str(value.get("task", "binary")))
        except (ValueError, KeyError, TypeError) as err:
            raise MlopsError(f"this is not a model's signature ({err!r}); train the version again") from err


_METRICS = TypeAdapter(dict[str, float])


def metrics_from_json(text: str) -> Mapping[str, float]:
    """Read ``metrics.json``: the metrics of the test window that have a value.

    Raises
    ------
    MlopsError
        If `text` is something else.
    """
    try:
        return _METRICS.validate_json(text, strict=True)
    except ValidationError as err:
        raise MlopsError(f"these are not a model's metrics ({problems(err)}); train the version again") from err


def checksums(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the sha256 of each file, by name; ``checksums.json`` is left out, which says the same."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items()) if name != CHECKSUMS}


def with_checksums(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files and ``checksums.json``, which holds the sha256 of each of them."""
    return {**files, CHECKSUMS: to_json(checksums(files)).encode()}


def to_json(value: Any) -> str:
    """Return JSON that is the same for equal values: sorted keys, every bit of a float, no NaN."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"
