from __future__ import annotations

from pathlib import Path

import pytest

from include.errors import UsageError
from include.settings import Settings, embedded_socket_dir


def test_everything_lies_under_the_home_unless_said_otherwise(tmp_path):
    settings = Settings.from_env({"MLOPS_HOME": str(tmp_path)})
    assert settings.lake_uri == (tmp_path / "lake").as_uri()
    assert str(tmp_path).replace("/", "%2F") in settings.database_url


def test_a_lake_without_a_known_scheme_is_refused_with_an_example(tmp_path):
    with pytest.raises(UsageError, match=r"MLOPS_LAKE_URI='/data/lake' has no scheme.*file:// or s3://"):
        Settings.from_env({"MLOPS_HOME": str(tmp_path), "MLOPS_LAKE_URI": "/data/lake"})


@pytest.mark.parametrize("wrong", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError, match="MLOPS_PORT"):
        Settings.from_env({"MLOPS_PORT": wrong})


def test_feature_sql_runs_on_duckdb_unless_said_otherwise():
    assert Settings.from_env({}).compute == "duckdb"
    assert Settings.from_env({"MLOPS_COMPUTE": "spark"}).compute == "spark"


def test_an_engine_that_is_not_known_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match=r"MLOPS_COMPUTE='Spark' is no engine; allowed: duckdb, spark.*'spark'"):
        Settings.from_env({"MLOPS_COMPUTE": "Spark"})


def test_a_long_home_has_a_short_socket_of_its_own():
    one, other = (Path("/tmp") / (letter * 120) for letter in "ab")
    assert len(str(embedded_socket_dir(one) / ".s.PGSQL.5432")) < 104
    assert embedded_socket_dir(one) != embedded_socket_dir(other)
