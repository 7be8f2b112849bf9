"""What a home remembers, in every process that asks, whatever that process's environment says."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from include.embedded.home import EmbeddedHome, make_home
from include.errors import UsageError
from include.home import HomeSettings, recall, remember, settings_file, write_private
from include.serving.api_keys import ApiKeys
from include.settings import PROJECT_ROOT, Settings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    folder = tmp_path / "overlay"
    folder.mkdir()
    return folder


@pytest.fixture
def home(tmp_path: Path, overlay: Path) -> Path:
    folder = tmp_path / "home"
    make_home(folder, HomeSettings(overlay))
    return folder


def read(home: Path, specs: str | None = None) -> Path | None:
    environment = {"MLOPS_HOME": str(home)} | ({} if specs is None else {"MLOPS_SPECS": specs})
    return Settings.from_env(environment).specs_overlay


@pytest.mark.parametrize("specs", [None, ""], ids=["unset", "empty"])
def test_where_the_environment_names_none_the_homes_overlay_holds(home, overlay, specs):
    assert read(home, specs) == overlay


@pytest.mark.parametrize("form", ["{}", "{}/", "{}/../overlay", "{}-link"])
def test_the_same_folder_spelled_otherwise_is_the_same(home, overlay, form):
    Path(f"{overlay}-link").symlink_to(overlay)
    assert read(home, form.format(overlay)) == overlay


@pytest.mark.parametrize("kept", ["another", None], ids=["made with another", "made with none"])
def test_another_overlay_is_refused_with_what_to_do(home, overlay, tmp_path, kept):
    other = tmp_path / "another"
    remember(home, HomeSettings(other if kept else None))
    with pytest.raises(UsageError) as refusal:
        read(home, str(overlay))
    told = str(refusal.value)
    assert (str(overlay) in told, str(other) in told) == (True, kept is not None)
    for remedy in ("unset MLOPS_SPECS", "MLOPS_HOME to another folder", str(settings_file(home))):
        assert remedy in told


def test_before_a_home_is_made_the_environment_decides(tmp_path, overlay):
    assert read(tmp_path / "new", str(overlay)) == overlay
    assert read(tmp_path / "new") is None


def test_a_home_that_is_made_again_keeps_what_it_was_made_with(home, overlay, tmp_path):
    make_home(home, HomeSettings(tmp_path / "another"))
    make_home(home, HomeSettings(None))
    assert recall(home) == HomeSettings(overlay)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"specs_overlay": 3}', '{"specs_overlay"', "\x00"])
def test_a_file_that_says_something_else_is_refused_with_what_belongs_there(home, text):
    settings_file(home).write_text(text)
    with pytest.raises(UsageError, match=r'settings\.json does not say which overlay .*"specs_overlay": "FOLDER"'):
        read(home)


def test_a_command_in_a_process_of_its_own_sees_the_homes_overlay(home, overlay):
    (overlay / "churn.yaml").write_text("gates:\n  auc_min: 0.123\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLOPS_")} | {"MLOPS_HOME": str(home)}
    script = "from include.specs.models import load_model; print(load_model('churn').gates.auc_min)"
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "0.123\n"


@pytest.mark.parametrize("before", [None, 0o755, 0o777], ids=["new", "open", "open to write"])
def test_a_home_is_its_owners_alone(tmp_path, before):
    home = tmp_path / "home"
    if before is not None:
        home.mkdir()
        home.chmod(before)
    make_home(home, HomeSettings(None))
    assert (mode(home), mode(settings_file(home))) == (0o700, 0o600)


def test_a_folder_in_which_keys_were_made_first_becomes_a_home(tmp_path):
    ApiKeys(tmp_path / "home").add("shop")
    make_home(tmp_path / "home", HomeSettings(None))
    assert settings_file(tmp_path / "home").exists()


@pytest.mark.parametrize("is_there", [False, True])
def test_what_was_never_up_is_stopped_without_a_trace(tmp_path, is_there):
    home = tmp_path / "home"
    if is_there:
        home.mkdir()
    assert not EmbeddedHome(home).stop_from_outside()
    assert list(tmp_path.rglob("*")) == [home][:is_there]


def test_a_key_that_is_not_there_is_revoked_without_a_trace(tmp_path):
    with pytest.raises(UsageError, match="there is no key"):
        ApiKeys(tmp_path / "home").revoke("12345678")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [Path.home(), PROJECT_ROOT, PROJECT_ROOT.parent, Path("/")], ids=str)
def test_a_folder_that_holds_more_than_a_home_is_not_closed(folder):
    before = mode(folder)
    with pytest.raises(UsageError, match="holds more than a home"):
        make_home(folder, HomeSettings(None))
    assert mode(folder) == before


@pytest.mark.parametrize("name", ["letters", "run", ".bashrc", "mlops-port-8080.lock"])
def test_a_folder_with_other_things_in_it_is_not_closed(tmp_path, name):
    (tmp_path / name).mkdir()
    tmp_path.chmod(0o755)
    with pytest.raises(UsageError, match="holds more than a home"):
        make_home(tmp_path, HomeSettings(None))
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize("name", ["landing", "lake", "demo", "settings.json"])
def test_what_a_command_or_a_delivery_made_before_the_first_start_makes_a_home(tmp_path, name):
    (tmp_path / name).mkdir() if name != "settings.json" else remember(tmp_path, HomeSettings(None))
    (tmp_path / "my notes").touch()
    make_home(tmp_path, HomeSettings(None))
    assert mode(tmp_path) == 0o700


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
