"""What a person sees whose disk is full, may not be written, or has something else where a folder should be."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.adapters.lake.delta_lake import LakeAdapter
from include.settings import PROJECT_ROOT
from tests.everyday import members
from tests.shop import make_orders

_NOBODY = 65534
_MLOPS = [sys.executable, "-c", "from include.cli.main import main; main()"]
COMMANDS = {
    "orders import": ("orders", "import", "ORDERS", "--format", "canonical"),
    "up": ("up",),
    "demo": ("demo",),
}
EACH = members(COMMANDS, daily=[name for name in COMMANDS if name != "demo"])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that every user can look into."""
    made = Path(tempfile.mkdtemp(prefix="mlops-disks-"))
    made.chmod(0o755)
    pq.write_table(make_orders(days=3), made / "orders.parquet")
    (made / "orders.parquet").chmod(0o644)
    yield made
    shutil.rmtree(made)


def environment() -> dict[str, str]:
    """Return the variables of somebody who has no deployment."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_", "AIRFLOW"))}
    return {**kept, "HOME": tempfile.gettempdir()}


def run(folder: Path, home: Path, arguments: tuple[str, ...], *, by_nobody: bool) -> subprocess.CompletedProcess[str]:
    named = [str(folder / "orders.parquet") if word == "ORDERS" else word for word in arguments]
    # The rights of files are not for root.
    other = {"user": _NOBODY, "group": _NOBODY} if by_nobody and os.geteuid() == 0 else {}
    return subprocess.run(
        [*_MLOPS, *named],
        capture_output=True,
        text=True,
        env={**environment(), "MLOPS_HOME": str(home)},
        cwd=PROJECT_ROOT,
        check=False,
        timeout=120,
        **other,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str, code: int = 3) -> None:
    assert done.returncode == code, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("command", EACH)
def test_a_home_that_may_not_be_written_is_named(folder, command):
    forbidden = folder / "forbidden"
    forbidden.mkdir(mode=0o555, exist_ok=True)
    done = run(folder, forbidden / "home", COMMANDS[command], by_nobody=True)
    assert_one_line(done, str(forbidden / "home"), "Permission denied", "this user")


@pytest.mark.parametrize("command", members(COMMANDS, daily=["up"]))
def test_a_home_where_a_file_is_is_named(folder, command):
    (folder / "file").write_text("a file where a folder should be")
    done = run(folder, folder / "file" / "home", COMMANDS[command], by_nobody=False)
    assert_one_line(done, f"MLOPS_HOME='{folder}/file/home'", f"{folder}/file is a file", code=2)


@pytest.mark.parametrize("command", [("up",), ("nights", "status"), ("serving", "keys", "add", "shop")], ids=" ".join)
def test_a_home_on_what_keeps_no_folders_is_wrong_use(folder, command):
    done = run(folder, Path("/proc/there/is/none"), command, by_nobody=False)
    assert_one_line(done, "MLOPS_HOME='/proc/there/is/none' can't be made: No such file or directory", code=2)


@pytest.fixture
def full(folder: Path) -> Iterator[Path]:
    """A disk with room for next to nothing."""
    disk = folder / "full"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k,mode=777", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        disk.rmdir()
        pytest.skip("a disk can't be mounted here")
    (disk / "filling").write_bytes(bytes(4096))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
    disk.rmdir()


@pytest.mark.parametrize("command", EACH)
def test_a_home_on_a_full_disk_is_told(folder, full, command):
    assert_one_line(run(folder, full / "home", COMMANDS[command], by_nobody=False), "No space left on device")


WRITES = """
import sys
from datetime import date
import pyarrow as pa
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.history import remove_old_files
from include.adapters.lake.training_sets import write_training_set
from tests.unit.training.examples_builder import make_examples, make_manifest, make_spec
lake, write = LakeAdapter(sys.argv[1]), sys.argv[2]
rows = pa.table({"value": range(90000), "dt": pa.array([date(2026, 1, 1)] * 90000)})
examples = make_examples()
{
    "a new table": lambda: lake.replace("raw/new", rows, keys=["2026-01-01"]),
    "a table": lambda: lake.replace("raw/x", rows, keys=["2026-01-01"]),
    "a training set": lambda: write_training_set(lake, make_manifest(make_spec(), examples), examples),
    "an expiry": lambda: remove_old_files(lake, "raw/x", retention_days=0, keep_versions=[]),
}[write]()
"""


def with_an_older_version(folder: Path) -> str:
    """Write a table of two versions and return the lake's address."""
    lake = LakeAdapter((folder / "lake").as_uri())
    for value in (1, 2):
        rows = pa.table({"value": [value], "dt": [date(2026, 1, 1)]})
        lake.replace("raw/x", rows, keys=["2026-01-01"])
    return lake.uri


def last_line(uri: str, write: str, *, limit: Callable[[], None] | None = None, user: int | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WRITES, uri, write],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        preexec_fn=limit,
        env=environment(),
        user=user,
        group=user,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1, done.stdout
    assert "panicked" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "write",
    members(["a new table", "a table", "a training set", "an expiry"], daily=["a training set", "an expiry"]),
)
def test_a_lake_that_may_not_be_written_is_one_error_of_ours(folder, write):
    uri = with_an_older_version(folder / write.replace(" ", "_"))
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "a-w", str(folder / write.replace(" ", "_"))], check=True)
    told = last_line(uri, write, user=_NOBODY if os.geteuid() == 0 else None)
    assert told.startswith("include.errors.MlopsError: ")
    assert "ermission denied" in told
    assert uri in told


# Small files that a disk still has room for are written: what is cut off is the data.
@pytest.mark.parametrize("write", members(["a training set", "an expiry"], daily=["an expiry"]))
def test_a_lake_that_has_no_room_is_one_error_of_ours(folder, write):
    uri = with_an_older_version(folder / f"small_{write.replace(' ', '_')}")
    told = last_line(uri, write, limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    assert told.startswith("include.errors.MlopsError: ")
    assert "File too large" in told


def test_a_table_on_a_full_disk_is_one_error_of_ours(full):
    told = last_line((full / "lake").as_uri(), "a new table")
    assert told.startswith("include.errors.MlopsError: ")
    assert "No space left on device" in told


def test_a_table_beside_a_full_temporary_folder_is_one_error_of_ours(folder, full, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(full))
    told = last_line(with_an_older_version(folder / "roomy"), "a table")
    assert told.startswith("include.errors.MlopsError: ")
    assert f"No space left on device: '{full}" in told
