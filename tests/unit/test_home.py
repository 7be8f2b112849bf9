"""A home is its owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from include.embedded.home import make_home
from include.errors import UsageError
from include.home import write_private
from include.settings import PROJECT_ROOT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("before", [None, 0o755, 0o777], ids=["new", "open", "open to write"])
def test_a_home_is_its_owners_alone(tmp_path, before):
    home = tmp_path / "home"
    if before is not None:
        home.mkdir()
        home.chmod(before)
    make_home(home)
    assert mode(home) == 0o700


@pytest.mark.parametrize("folder", [Path.home(), PROJECT_ROOT, PROJECT_ROOT.parent, Path("/")], ids=str)
def test_a_folder_that_holds_more_than_a_home_is_not_closed(folder):
    before = mode(folder)
    with pytest.raises(UsageError, match="holds more than a home"):
        make_home(folder)
    assert mode(folder) == before


@pytest.mark.parametrize("before", [None, "file", "leftover", "somebody's link"])
def test_a_private_file_is_private_whatever_was_there(tmp_path, before):
    path, elsewhere = tmp_path / "secret", tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    if before == "file":
        path.write_text("old")
        path.chmod(0o644)
    elif before == "leftover":
        path.with_name("secret.tmp").write_text("old")
    elif before == "somebody's link":
        path.with_name("secret.tmp").symlink_to(elsewhere)
    mask = os.umask(0)
    try:
        write_private(path, "s3cret")
    finally:
        os.umask(mask)
    assert (path.read_text(), mode(path)) == ("s3cret", 0o600)
    assert elsewhere.read_text() == "not ours"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "secret"]
