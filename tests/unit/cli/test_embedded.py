from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from include.embedded.logins import passwords_file, read_password, write_passwords
from include.settings import User

SCRIPT = "import sys; from pathlib import Path; from include.cli.embedded import told_login; " + (
    "print(told_login(Path(sys.argv[1]), 'ada'))"
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_passwords(tmp_path, [User("admin", "admin"), User("ada", "user")])
    return tmp_path


def test_a_terminal_shows_a_users_password(home):
    reading, terminal = pty.openpty()
    subprocess.run([sys.executable, "-c", SCRIPT, str(home)], stdout=terminal, check=True)
    os.close(terminal)
    assert os.read(reading, 4096).decode().strip() == f"ada / {read_password(home, 'ada')}"
    os.close(reading)


def test_what_may_end_in_a_log_says_where_the_password_is(home):
    said = subprocess.run([sys.executable, "-c", SCRIPT, str(home)], stdout=subprocess.PIPE, text=True, check=True)
    assert said.stdout.strip() == f"ada, with the password in {passwords_file(home)}"
