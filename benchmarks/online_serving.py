"""Answer one row of 20 floats online: this project, the requirements' application, MLflow, BentoML, MLServer, an echo.

What belongs here: what each is asked. What does not: the servers (``serving_servers``, ``peers``), and asking
(``server_race``).

Requests a second and latencies at 1, 16 and 64 connections, one process each, the client on another core.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.server_race import Asked, Contender, module, race_servers, script
from benchmarks.serving_servers import FEATURES, MODEL, make_model

_CONNECTIONS = (1, 16, 64)
_ROW = {name: 0.25 + n / 10 for n, name in enumerate(FEATURES)}
_TENSOR = {"name": "features", "shape": [1, len(_ROW)], "datatype": "FP32", "data": list(_ROW.values())}
# Server of `serving_servers`, or of the `peers` → its title, the path that is asked, and the body.
_ASKED: Mapping[str, tuple[str, str, object]] = {
    "ours": ("this project", f"/v1/models/{MODEL}/predict", {"instances": [_ROW]}),
    "echo": ("the floor: ASGI, JSON, no model", "/predict", _ROW),
    "fastapi_async": ("FastAPI, async endpoint", "/predict", _ROW),
    "fastapi": ("FastAPI, as it is usually written", "/predict", _ROW),
    "mlflow": ("mlflow models serve (onnx)", "/invocations", {"inputs": [list(_ROW.values())]}),
    "bentoml_server": ("BentoML", "/predict", _ROW),
    "mlserver_server": ("MLServer", "/v2/models/rows/infer", {"inputs": [_TENSOR]}),
}
_PEERS = ("bentoml_server", "mlserver_server")


def main(scale: float = 1.0, rounds: int = 3) -> Mapping[tuple[str, int], Sequence[Asked]]:
    """Race; `scale` of 1 asks each for 5 seconds a round and number of connections."""
    with TemporaryDirectory(prefix="mlops-serving-") as folder:
        make_model(Path(folder), FEATURES)
        contenders = [
            Contender(title, _command(name, folder), path, [json.dumps(body).encode()])
            for name, (title, path, body) in _ASKED.items()
        ]
        seconds = max(0.5, 5 * scale)
        return race_servers(
            "one row of 20 floats", contenders, connections=_CONNECTIONS, seconds=seconds, rounds=rounds
        )


def _command(name: str, folder: str) -> list[str]:
    return script(name, folder) if name in _PEERS else module("benchmarks.serving_servers", name, folder)


if __name__ == "__main__":
    main()
