"""Answer one row of 20 floats online: this project, the application of the requirements, MLflow, and a bare echo.

What belongs here: asking the servers in turn, by the same client. What does not: the servers (``serving_servers``).

Requests a second and latencies at 1, 16 and 64 connections, one process each, the client on another core.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.http_load import Load, ask_for
from benchmarks.serving_servers import FEATURES, MODEL, make_model

_CONNECTIONS = (1, 16, 64)
_ROW = {name: 0.25 + n / 10 for n, name in enumerate(FEATURES)}
# Name → the path that is asked, and the body.
_SERVERS: Mapping[str, tuple[str, object]] = {
    "ours": (f"/v1/models/{MODEL}/predict", {"instances": [_ROW]}),
    "echo": ("/predict", _ROW),
    "fastapi_async": ("/predict", _ROW),
    "fastapi": ("/predict", _ROW),
    "mlflow": ("/invocations", {"inputs": [list(_ROW.values())]}),
}
_TITLES = {
    "ours": "this project",
    "echo": "the floor: ASGI, JSON, no model",
    "fastapi_async": "FastAPI, async endpoint",
    "fastapi": "FastAPI, as it is usually written",
    "mlflow": "mlflow models serve (onnx)",
}


def main(scale: float = 1.0, rounds: int = 3) -> dict[str, dict[int, list[Load]]]:
    """Race; `scale` of 1 asks each for 5 seconds a round and number of connections."""
    seconds = max(0.5, 5 * scale)
    taken: dict[str, dict[int, list[Load]]] = {name: {count: [] for count in _CONNECTIONS} for name in _SERVERS}
    with tempfile.TemporaryDirectory(prefix="mlops-serving-") as folder:
        make_model(Path(folder))
        with _running(folder) as ports:
            for _ in range(rounds):
                for count in _CONNECTIONS:
                    for name, (path, body) in _SERVERS.items():
                        bodies = [json.dumps(body).encode()]
                        load = ask_for(seconds, ports[name], path, bodies, connections=count)
                        if set(load.statuses) != {200}:
                            raise RuntimeError(f"{name} answered {dict(load.statuses)}")
                        taken[name][count].append(load)
    for count in _CONNECTIONS:
        _show(count, taken)
    return taken


def _show(count: int, taken: Mapping[str, Mapping[int, list[Load]]]) -> None:
    print(f"\none row of 20 floats, {count} connection{'s' if count > 1 else ''}")
    print(f"{'':<44}{'requests/s':>12}{'ours ÷':>9}{'p50 ms':>9}{'p99 ms':>9}")
    ours = median(load.per_second for load in taken["ours"][count])
    for name, loads in taken.items():
        rate = median(load.per_second for load in loads[count])
        p50, p99 = (median(load.quantile_ms(share) for load in loads[count]) for share in (0.5, 0.99))
        print(f"{_TITLES[name]:<44}{rate:>12,.0f}{ours / rate:>9.2f}{p50:>9.2f}{p99:>9.2f}", flush=True)


@contextmanager
def _running(folder: str) -> Iterator[dict[str, int]]:
    """Have every server up; give their ports."""
    ports = {name: _free_port() for name in _SERVERS}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.serving_servers", name, folder, str(port)],
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for name, port in ports.items()
    ]
    try:
        for name, port in ports.items():
            _wait_for(name, port)
        yield ports
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(name: str, port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not up after two minutes") from None
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
