"""What others see of a home that has run a night: other machines, other users of this one, and its own lesser users."""

from __future__ import annotations

import stat

import psutil
import pytest

from include.embedded.processes import ProcessTable
from include.errors import MlopsError
from tests.e2e.loop import Loop
from tests.homes import processes_of, secrets_of

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def members(night: Loop) -> list[psutil.Process]:
    home = night.deployment.settings.home
    return processes_of(home, {record.pid for record in ProcessTable(home).records()})


def test_it_listens_on_this_machine_alone(members):
    pids = {process.pid for process in members}
    listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.pid in pids]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_no_command_line_shows_a_secret(night, members):
    lines = [" ".join(process.cmdline()) for process in members]
    assert len(lines) > 5
    for name, secret in secrets_of(night.deployment.settings.home).items():
        assert [line for line in lines if secret in line] == [], name


def test_what_it_wrote_tells_no_secret_and_is_its_users_alone(night):
    home = night.deployment.settings.home
    logs = [path for folder in ("logs", "airflow/logs") for path in (home / folder).rglob("*") if path.is_file()]
    assert len(logs) > 5
    written = {path: path.read_text(errors="replace") for path in logs}
    for name, secret in secrets_of(home).items():
        assert [path for path, text in written.items() if secret in text] == [], name
    assert {path: oct(path.stat().st_mode) for path in logs if stat.S_IMODE(path.stat().st_mode) != 0o600} == {}


def test_a_user_may_less_than_who_administers_it(night):
    ada = night.as_user("ada")
    assert ada.request("GET", "/dags", limit=1)["dags"] is not None
    with pytest.raises(MlopsError, match="Airflow said 403"):
        ada.request("POST", "/variables", {"key": "hers", "value": "no"})
