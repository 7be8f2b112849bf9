"""Which code ran: asked of git, or told by the deployment."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xgboost

from include.adapters.provenance import read_libraries, read_provenance
from include.settings import Settings


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path) -> Path:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "code.py").write_text("x = 1\n")
    (tmp_path / "uv.lock").write_text("locked\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout):
    found = read_provenance(Settings.from_env({}), checkout)
    assert (found.code_commit, found.code_changed) == (git(checkout, "rev-parse", "HEAD"), False)
    assert found.lock_sha256 == hashlib.sha256(b"locked\n").hexdigest()


@pytest.mark.parametrize("name", ["include/code.py", "include/untracked.py", "uv.lock"])
def test_a_changed_file_of_the_code_is_noticed(checkout, name):
    (checkout / name).write_text("y = 2\n")
    assert read_provenance(Settings.from_env({}), checkout).code_changed is True


def test_a_file_beside_the_code_is_no_change_of_it(checkout):
    (checkout / "notes.txt").write_text("x")
    assert read_provenance(Settings.from_env({}), checkout).code_changed is False


def test_an_image_tells_its_commit_and_digest(tmp_path):
    settings = Settings.from_env({"MLOPS_CODE_COMMIT": "c0ffee", "MLOPS_IMAGE_DIGEST": "sha256:aa"})
    found = read_provenance(settings, tmp_path)
    assert (found.code_commit, found.code_changed, found.image_digest) == ("c0ffee", None, "sha256:aa")


def test_without_checkout_lock_or_setting_it_is_unknown(tmp_path):
    found = read_provenance(Settings.from_env({}), tmp_path)
    assert (found.code_commit, found.lock_sha256) == ("unknown", "unknown")


def test_the_libraries_are_those_that_are_loaded_whatever_the_lock_says():
    found = read_libraries()
    assert found["numpy"] == np.__version__
    assert found["xgboost"] == xgboost.__version__
    assert found["python"].startswith("3.")
