from __future__ import annotations

import json
import stat

import pytest

from include.embedded.logins import first_admin, passwords_file, read_password, write_passwords
from include.errors import MlopsError
from include.settings import User

ADMIN, ADA = User("admin", "admin"), User("ada", "user")


def test_each_user_has_a_password_of_their_own_that_stays(tmp_path):
    write_passwords(tmp_path, [ADMIN])
    first = read_password(tmp_path)
    write_passwords(tmp_path, [ADA, ADMIN])
    assert read_password(tmp_path, "admin") == first
    assert len({first, read_password(tmp_path, "ada")}) == 2
    assert all(len(word) >= 20 for word in (first, read_password(tmp_path, "ada")))


@pytest.mark.parametrize("kept", [None, "", '{"admin": "known"}'], ids=["new", "empty", "of Airflow's own making"])
def test_the_passwords_are_read_by_the_owner_alone(tmp_path, kept):
    path = passwords_file(tmp_path)
    if kept is not None:
        path.parent.mkdir()
        path.write_text(kept)
        path.chmod(0o644)
    write_passwords(tmp_path, [ADMIN])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept != '{"admin": "known"}' or json.loads(path.read_text())["admin"] == "known"


def test_who_has_no_password_is_told_how_to_get_one(tmp_path):
    with pytest.raises(MlopsError, match="make up"):
        read_password(tmp_path)
    write_passwords(tmp_path, [ADMIN])
    with pytest.raises(MlopsError, match="no password of ada; name ada in MLOPS_USERS"):
        read_password(tmp_path, "ada")


def test_the_start_logs_in_as_an_admin():
    assert first_admin([ADA, User("eve", "admin"), ADMIN]) == "eve"
