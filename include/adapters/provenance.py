"""Which code and which libraries are running.

What belongs here: asking git, and hashing the lock file. What does not: what follows from it.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from include.settings import PROJECT_ROOT, Settings
from include.training.manifest import UNKNOWN, Provenance

# What the rows of a set, and the bytes of a model, are made with.
_LIBRARIES = ("duckdb", "numpy", "onnx", "onnxmltools", "pyarrow", "xgboost")
_CODE = ("include", "feature_repo", "pyproject.toml", "uv.lock")


def read_provenance(settings: Settings, root: Path = PROJECT_ROOT) -> Provenance:
    """Return which code and libraries are running.

    Parameters
    ----------
    settings : Settings
        Its ``code_commit`` counts where it is set: an image has no checkout.
    root : Path
        The project.
    """
    lock = root / "uv.lock"
    commit, changed = settings.code_commit, None
    if commit is None and (commit := _git(root, "rev-parse", "HEAD")) is not None:
        changed = bool(_git(root, "status", "--porcelain", "--", *_CODE))
    return Provenance(
        code_commit=commit or UNKNOWN,
        code_changed=changed,
        lock_sha256=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else UNKNOWN,
        image_digest=settings.image_digest,
    )


def read_libraries() -> dict[str, str]:
    """Return the versions of what rows and models are made with, as installed, whatever the lock file says."""
    return {
        **{name: version(name) for name in _LIBRARIES},
        "processor": platform.machine(),
        "python": platform.python_version(),
    }


def _git(root: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    # Without its own .git a folder may lie in another project's checkout.
    if git is None or not (root / ".git").exists():
        return None
    command = [git, "--no-optional-locks", "-C", str(root), *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None
