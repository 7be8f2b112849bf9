"""The embedded PostgreSQL when its processes are killed: the server itself, and one that serves a client."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from include.embedded.home import make_home
from include.embedded.postgres import EmbeddedPostgres
from include.home import HomeSettings
from include.settings import embedded_database_url

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    home = tmp_path_factory.mktemp("killed") / "home"
    make_home(home, HomeSettings(None))
    started = EmbeddedPostgres(home)
    started.start()
    with connect(home) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS row")
    try:
        yield started
    finally:
        started.stop()


def connect(home: Path) -> psycopg.Connection:
    return psycopg.connect(embedded_database_url(home, "postgres").replace("+psycopg", ""), autocommit=True)


def until(is_true: Callable[[], bool], timeout_s: float = 60) -> bool:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def answers(home: Path) -> bool:
    try:
        connect(home).close()
    except psycopg.OperationalError:
        return False
    return True


def rows(home: Path) -> int:
    with connect(home) as connection:
        return len(connection.execute("SELECT * FROM kept").fetchall())


def test_a_killed_server_says_so_and_starts_over_what_it_left(server):
    pid = server.pid()
    with connect(server.home) as connection:
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: not server.is_ready())
        assert (server.pid(), server.life()) == (None, None)
        again = server.launch()
        server.wait_until_ready(again)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert server.pid() == again.pid != pid
    assert rows(server.home) == 1


def test_a_server_that_lost_a_process_has_another_life(server):
    before = server.life()
    assert before is not None
    with connect(server.home) as connection:
        assert server.life() == before
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        assert until(lambda: server.life() not in (None, before))
    assert until(lambda: answers(server.home))
    assert psutil.Process(server.pid()).is_running()
    assert rows(server.home) == 1
