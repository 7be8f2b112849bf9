"""Answer one row of 20 floats online: this project, the application of the requirements, MLflow, and a bare echo.

What belongs here: what each is asked. What does not: the servers (``serving_servers``), and asking (``server_race``).

Requests a second and latencies at 1, 16 and 64 connections, one process each, the client on another core.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.http_load import Load
from benchmarks.server_race import Contender, race_servers
from benchmarks.serving_servers import FEATURES, MODEL, make_model

_CONNECTIONS = (1, 16, 64)
_ROW = {name: 0.25 + n / 10 for n, name in enumerate(FEATURES)}
# Server of `serving_servers` → its title, the path that is asked, and the body.
_ASKED: Mapping[str, tuple[str, str, object]] = {
    "ours": ("this project", f"/v1/models/{MODEL}/predict", {"instances": [_ROW]}),
    "echo": ("the floor: ASGI, JSON, no model", "/predict", _ROW),
    "fastapi_async": ("FastAPI, async endpoint", "/predict", _ROW),
    "fastapi": ("FastAPI, as it is usually written", "/predict", _ROW),
    "mlflow": ("mlflow models serve (onnx)", "/invocations", {"inputs": [list(_ROW.values())]}),
}


def main(scale: float = 1.0, rounds: int = 3) -> Mapping[tuple[str, int], Sequence[Load]]:
    """Race; `scale` of 1 asks each for 5 seconds a round and number of connections."""
    with TemporaryDirectory(prefix="mlops-serving-") as folder:
        make_model(Path(folder), FEATURES)
        contenders = [
            Contender(title, ["benchmarks.serving_servers", name, folder], path, [json.dumps(body).encode()])
            for name, (title, path, body) in _ASKED.items()
        ]
        seconds = max(0.5, 5 * scale)
        return race_servers(
            "one row of 20 floats", contenders, connections=_CONNECTIONS, seconds=seconds, rounds=rounds
        )


if __name__ == "__main__":
    main()
