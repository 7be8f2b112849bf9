"""The service as a process of its own: what can't be started ends in one line, with the code of wrong use."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from include.serving.__main__ import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("os.umask", lambda _: 0)


def test_a_busy_port_is_wrong_use_and_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("include.serving.__main__.make_service", lambda *_: pytest.fail("loaded"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("MLOPS_SERVING_PORT", str(port))
        assert main() == 2
    assert f"127.0.0.1, port {port}: Address already in use; set MLOPS_SERVING_PORT or" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MLOPS_SERVING_PORT", "abc", "MLOPS_SERVING_PORT='abc' is not a port"),
        ("MLOPS_SERVING_HOST", "0.0.0.0", "host 0.0.0.0 lets others ask, and there is no key"),
    ],
)
def test_a_setting_that_can_not_be_used_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLOPS_SERVING_PORT", value if name == "MLOPS_SERVING_PORT" else str(port))
    assert main() == 2
    assert said in caplog.text
