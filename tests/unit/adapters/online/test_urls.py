"""URLs of an online store: what can't be understood is refused by name, and nothing is dropped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from include.adapters.feature_store.feast_repo import feast_environment
from include.adapters.feature_store.feast_store import FeatureStoreAdapter
from include.errors import UsageError
from include.settings import Settings


def settings(url: str) -> Settings:
    return replace(Settings.from_env({}), feast_online_url=url)


def online_store(url: str) -> Any:
    return FeatureStoreAdapter.from_settings(settings(url)).config.online_store


@pytest.mark.parametrize("url", ["localhost:6379", "/var/online.db", "", "redis://localhost:none/0"])
def test_what_is_no_url_is_shown_with_the_variable_and_the_forms_that_are_known(url: str) -> None:
    with pytest.raises(
        UsageError, match=r"MLOPS_FEAST_ONLINE_URL=.* is not a URL; write sqlite:///.*redis://"
    ) as error:
        feast_environment(settings(url))
    assert f"MLOPS_FEAST_ONLINE_URL={url} " in str(error.value)


@pytest.mark.parametrize("url", ["me:secret@host/db", "localhost?password=secret", "redis://me:sec@ret@host:none/0"])
def test_what_may_hold_a_password_is_not_shown(url: str) -> None:
    with pytest.raises(UsageError) as error:
        feast_environment(settings(url))
    assert "sec" not in str(error.value)


def test_certificates_of_a_postgresql_url_reach_feast() -> None:
    tls = "sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/me.pem&sslkey=/me.key"

    found = online_store(f"postgresql+psycopg://me:secret@db:5433/features?{tls}")

    assert (found.host, found.port, found.database, found.user, found.password) == (
        ("db", 5433, "features", "me", "secret")
    )
    assert (found.sslmode, found.sslrootcert_path, found.sslcert_path, found.sslkey_path) == (
        ("verify-full", "/ca.pem", "/me.pem", "/me.key")
    )


def test_a_postgresql_url_may_name_a_socket_and_asks_for_no_certificate_by_itself() -> None:
    found = online_store("postgresql+psycopg://postgres:@/x?host=/run/db&port=5555")

    assert (found.host, found.port, found.sslmode, found.sslrootcert_path) == ("/run/db", 5555, "prefer", None)


def test_another_parameter_of_a_postgresql_url_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"'sslrootcrt'.*did you mean 'sslrootcert'.*sslkey") as error:
        online_store("postgresql+psycopg://me:secret@db/features?sslrootcrt=/ca.pem")
    assert "secret" not in str(error.value)
