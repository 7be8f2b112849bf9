# /// script
# requires-python = "==3.11.*"
# dependencies = ["mlserver==1.7.1", "onnxruntime==1.32.0", "httptools", "uvloop"]
# ///
"""MLServer around the race's model: `uv run --script mlserver_server.py FOLDER PORT`.

What belongs here: a runtime as MLServer documents one. What does not: asking it (``online_serving``).

It answers in the Open Inference Protocol, in one process (`parallel_workers` is 0), on uvloop and httptools, without
metrics.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import uvloop
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

FOLDER, PORT = sys.argv[1:]


class Rows(MLModel):
    """Scores rows that one tensor holds."""

    async def load(self) -> bool:
        """Read the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        content = (Path(FOLDER) / "model.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return each row's probability."""
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec).astype(np.float32)
        scores = self._session.run(None, {"features": rows})[1][:, 1]
        outputs = [NumpyCodec.encode_output("probability", scores)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def serve() -> None:
    """Answer until the process is killed."""
    settings = Settings(
        host="127.0.0.1",
        http_port=int(PORT),
        grpc_port=_free_port(),
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
    )
    await MLServer(settings).start([ModelSettings(name="rows", implementation=Rows)])


if __name__ == "__main__":
    uvloop.run(serve())
