"""API keys: kept as hashes, taken while they are valid, counted; and who comes without."""

from __future__ import annotations

import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.errors import MlopsError, UsageError
from include.serving.api_keys import ApiKeys
from include.serving.door import Door
from include.serving.refusal import Refusal


def bearer(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"authorization", b"Bearer " + key.encode())]


def refusal(door: Door, headers: list[tuple[bytes, bytes]], model: str | None = "churn") -> Refusal:
    with pytest.raises(Refusal) as caught:
        door.admit(headers, model)
    return caught.value


def test_the_file_holds_no_key_and_is_the_owners(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    key, made = keys.add("shop")

    text = keys.path.read_text()
    assert key not in text
    assert key.rpartition("_")[2] not in text
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert keys.look()
    assert keys.find(key) == made


def test_a_key_lets_in_by_either_header(tmp_path: Path) -> None:
    key, _ = ApiKeys(tmp_path).add("shop", models=["churn"])
    door = Door(ApiKeys(tmp_path), is_open=False)

    door.admit(bearer(key), "churn")
    door.admit([(b"x-api-key", key.encode())], None)
    assert refusal(door, bearer(key), "fraud").status == 403


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Basic abc")],
        bearer(""),
        bearer("mk_00000000_" + "0" * 64),
        [(b"x-api-key", b"\xff\xfe")],
        [(b"x-api-key", b"mk_" + b"f" * 10_000)],
    ],
    ids=["none", "basic", "empty", "made up", "no text", "long"],
)
def test_who_has_no_key_is_not_let_in(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    ApiKeys(tmp_path).add("shop")

    assert refusal(Door(ApiKeys(tmp_path), is_open=True), headers).status == 401


def test_every_changed_sign_of_a_key_makes_another(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    key, _ = keys.add("shop")
    keys.look()

    for place, sign in enumerate(key):
        assert keys.find(key[:place] + ("0" if sign != "0" else "1") + key[place + 1 :]) is None


def test_an_expired_and_a_revoked_key_are_told_why(tmp_path: Path) -> None:
    keys, door = ApiKeys(tmp_path), Door(ApiKeys(tmp_path), is_open=False)
    short, _ = keys.add("shop", expires_at=datetime.now(UTC) + timedelta(hours=1))
    other, made = keys.add("till")
    door.admit(bearer(short), None)
    door.admit(bearer(other), None)

    keys.revoke(made.key_id)
    rows = json.loads(keys.path.read_text())
    rows[0]["expires_at"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    keys.path.write_text(json.dumps(rows))

    assert "expired" in refusal(door, bearer(short)).message
    assert "revoked" in refusal(door, bearer(other)).message


def test_a_key_that_asks_too_often_waits(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    slow, _ = keys.add("slow", per_second=1)
    fast, _ = keys.add("fast", per_second=1000)
    door = Door(keys, is_open=False)

    for _ in range(2):
        door.admit(bearer(slow), None)
    no = refusal(door, bearer(slow))

    assert (no.status, no.retry_after_s) == (429, 1)
    door.admit(bearer(fast), None)


def test_anybody_on_this_machine_is_let_in_until_a_first_key_is_made_and_never_again(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    door, closed = Door(keys, is_open=True), Door(keys, is_open=False)

    door.admit([], "churn")
    assert refusal(closed, []).status == 401
    keys.add("shop")
    assert refusal(door, []).status == 401
    keys.path.unlink()
    assert refusal(door, []).status == 401


@pytest.mark.parametrize("text", ["", "{}", "[{}]", '[{"key_id": 1}]', "[1]"])
def test_keys_that_cannot_be_read_let_nobody_in(tmp_path: Path, text: str) -> None:
    keys = ApiKeys(tmp_path)
    key, _ = keys.add("shop")
    door = Door(keys, is_open=True)
    door.admit(bearer(key), None)
    keys.path.write_text(text)

    found = refusal(door, bearer(key))

    assert found.status in (401, 503)
    assert str(tmp_path) not in found.message


def test_keys_made_at_once_are_all_there(tmp_path: Path) -> None:
    threads = [threading.Thread(target=lambda n=n: ApiKeys(tmp_path).add(f"c{n}")) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(key.client for key in ApiKeys(tmp_path).all()) == sorted(f"c{n}" for n in range(12))


def test_what_is_no_key_to_make_or_revoke_is_refused(tmp_path: Path) -> None:
    keys = ApiKeys(tmp_path)
    with pytest.raises(UsageError, match="no name"):
        keys.add("a b")
    with pytest.raises(UsageError, match="expired already"):
        keys.add("shop", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="no key 'x'"):
        keys.revoke("x")
    assert not keys.exist()
    keys.add("shop")
    keys.path.write_text("{")
    with pytest.raises(MlopsError, match="can't be read as keys"):
        keys.all()
