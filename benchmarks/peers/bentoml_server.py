# /// script
# requires-python = "==3.11.*"
# dependencies = ["bentoml==1.4.40", "onnxruntime==1.32.0", "uvicorn[standard]==0.54.0"]
# ///
"""BentoML's service around the race's model: `uv run --script bentoml_server.py FOLDER PORT`.

What belongs here: the service as BentoML documents one. What does not: asking it (``online_serving``).

Its ASGI application runs under the same server as the others' do, in one process, without its log and metrics of
requests. Its adaptive batching (`batchable=True`) is not used: with it fewer were answered at 1, 16 and 64 connections.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import onnxruntime
import uvicorn
from pydantic import create_model

FEATURES = [f"f{n}" for n in range(20)]
FOLDER, PORT = sys.argv[1:]
Row: Any = create_model("Row", **{name: (float, ...) for name in FEATURES})


@bentoml.service(metrics={"enabled": False}, logging={"access": {"enabled": False}})
class Rows:
    """Scores one row of named features."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        content = (Path(FOLDER) / "model.onnx").read_bytes()
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    @bentoml.api(route="/predict", input_spec=Row)
    async def predict(self, **given: float) -> dict:
        """Return the answer of the requirements' own form."""
        values = np.array([[given[name] for name in FEATURES]], dtype=np.float32)
        probability = float(self.session.run(None, {"features": values})[1][0, 1])
        return {"prediction": int(probability > 0.5), "probability": probability, "model_version": "1"}


if __name__ == "__main__":
    uvicorn.run(
        Rows.to_asgi(), host="127.0.0.1", port=int(PORT), loop="uvloop", http="httptools", access_log=False,
        log_level="warning",
    )  # fmt: skip
