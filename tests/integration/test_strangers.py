"""A home as another user of the machine sees it: nothing of it can be read, and its databases don't answer."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from include.embedded.environment import airflow_environment
from include.embedded.home import make_home
from include.embedded.logins import write_passwords
from include.embedded.postgres import EmbeddedPostgres
from include.errors import MlopsError
from include.home import HomeSettings
from include.settings import Settings, embedded_database_url, embedded_socket_dir
from tests.real_data import require
from tests.shop import make_orders

STRANGER = "nobody"


def as_stranger(act: Callable[[], object]) -> object:
    """Do something as another user, in a process of its own, and return what it gave."""
    if os.geteuid() != 0:
        require("only root can become another user")
    entry = pwd.getpwnam(STRANGER)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            os.write(writing, json.dumps(act()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(said)


def can_open(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError:
        return False
    return True


def answers(home: Path, database: str = "postgres") -> bool:
    url = embedded_database_url(home, database).replace("+psycopg", "")
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def readable(home: Path) -> list[str]:
    """Return what of a home a stranger who knows every name can open or list."""
    known = [home, *home.rglob("*")]
    assert len(known) > 50
    return as_stranger(lambda: [str(path) for path in known if can_open(path)])


@pytest.fixture(scope="module", params=["short", "long"])
def home(request, tmp_path_factory) -> Iterator[Path]:
    """A home with its server up, its secrets made, and files in it that a command made under an open umask."""
    name = "home" if request.param == "short" else "a-home-whose-socket-is-elsewhere-since-its-path-is-too-long" * 2
    folder = tmp_path_factory.mktemp("strangers") / name
    settings = Settings.from_env({"MLOPS_HOME": str(folder), "MLOPS_USERS": "admin:admin,ada:user"})
    make_home(folder, HomeSettings(None))
    airflow_environment(settings, port=1)
    write_passwords(folder, settings.users)
    lake = folder / "lake" / "raw"
    # A command that ran in this process has closed it.
    closed = os.umask(0o022)
    lake.mkdir(parents=True)
    (lake / "orders.parquet").write_bytes(b"orders")
    os.umask(closed)
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        yield folder
    finally:
        server.stop()


def test_the_home_is_closed_and_its_owner_reads_it(home):
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert (home / "lake" / "raw" / "orders.parquet").read_bytes() == b"orders"
    assert answers(home)


def test_a_stranger_reads_no_file_of_a_home(home):
    assert readable(home) == []


def test_what_is_tried_would_be_seen_if_it_were_open(home):
    home.chmod(0o711)
    try:
        assert str(home / "lake" / "raw" / "orders.parquet") in readable(home)
        assert not any("password" in path or "postgres" in path or "secrets" in path for path in readable(home))
    finally:
        home.chmod(0o700)


def test_a_stranger_reaches_no_database(home):
    assert not as_stranger(lambda: answers(home))


def test_a_stranger_reaches_no_database_even_where_the_home_is_passable(home):
    """The folder of the socket is closed by itself: it may lie outside of the home."""
    home.chmod(0o711)
    try:
        assert not as_stranger(lambda: answers(home))
    finally:
        home.chmod(0o700)


@pytest.mark.parametrize("taken", ["folder", "link"])
def test_a_socket_folder_that_a_stranger_made_first_is_not_used(tmp_path, taken):
    home = tmp_path / ("long" * 30)
    folder = embedded_socket_dir(home)
    assert not folder.is_relative_to(home)

    def make() -> None:
        folder.symlink_to("/tmp") if taken == "link" else folder.mkdir()

    as_stranger(make)
    try:
        make_home(home, HomeSettings(None))
        with pytest.raises(MlopsError, match="belongs to somebody else"):
            EmbeddedPostgres(home).start()
    finally:
        folder.unlink() if taken == "link" else folder.rmdir()


def test_what_a_command_writes_before_a_home_is_made_is_its_owners_alone(tmp_path):
    home, orders = tmp_path / "home", tmp_path / "orders.parquet"
    pq.write_table(make_orders(days=2), orders)
    command = ["orders", "import", str(orders), "--format", "canonical"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_", "AIRFLOW"))}
    script = "from include.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, *command], env={**kept, "MLOPS_HOME": str(home)}, umask=0o022, check=False
    )
    assert done.returncode == 0
    written = [home, *home.rglob("*")]
    assert len(written) > 5
    assert [str(path) for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_secrets_and_logs_are_their_owners_alone(home):
    kept = [path for name in ("airflow/secrets", "logs") for path in (home / name).rglob("*")]
    kept += [home / "settings.json", *(home / "airflow").glob("*password*")]
    assert len(kept) >= 7
    assert {path.name: oct(path.stat().st_mode) for path in kept if stat.S_IMODE(path.stat().st_mode) != 0o600} == {}
