from __future__ import annotations

from pathlib import Path

import pytest

from include.adapters.compute.duckdb_session import open_session
from include.errors import UsageError
from include.settings import Settings, User, embedded_socket_dir, home_from_env, memory_bytes


def test_everything_lies_under_the_home_unless_said_otherwise(tmp_path):
    settings = Settings.from_env({"MLOPS_HOME": str(tmp_path)})
    assert settings.lake_uri == (tmp_path / "lake").as_uri()
    assert str(tmp_path).replace("/", "%2F") in settings.database_url


@pytest.mark.parametrize("below", ["", "sub", "sub/folder"])
def test_a_home_where_a_file_is_is_refused_with_what_it_may_be(tmp_path, below):
    (tmp_path / "file").write_text("")
    home = str(tmp_path / "file" / below)
    with pytest.raises(UsageError, match=f"MLOPS_HOME='{home}' is no folder: {tmp_path}/file is a file; name one"):
        home_from_env({"MLOPS_HOME": home})
    with pytest.raises(UsageError, match="MLOPS_HOME"):
        Settings.from_env({"MLOPS_HOME": home})


def test_a_file_of_specs_is_refused_with_what_is_allowed(tmp_path):
    (tmp_path / "churn.yaml").write_text("")
    with pytest.raises(UsageError, match=f"MLOPS_SPECS='{tmp_path}/churn.yaml' is a file; name the folder of specs"):
        Settings.from_env({"MLOPS_HOME": str(tmp_path), "MLOPS_SPECS": str(tmp_path / "churn.yaml")})


@pytest.mark.parametrize("name", ["MLOPS_HOME", "MLOPS_SPECS"])
def test_a_folder_of_nobodys_is_refused(tmp_path, name):
    with pytest.raises(
        UsageError,
        match=f"{name}='~nobody-here/x' names no folder [(]Could.*[)]; name one that is",
    ):
        Settings.from_env({"MLOPS_HOME": str(tmp_path), name: "~nobody-here/x"})


def test_a_lake_without_a_known_scheme_is_refused_with_an_example(tmp_path):
    with pytest.raises(UsageError, match=r"MLOPS_LAKE_URI='/data/lake' has no scheme.*file:// or s3://"):
        Settings.from_env({"MLOPS_HOME": str(tmp_path), "MLOPS_LAKE_URI": "/data/lake"})


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("file://data/lake", "no absolute path"),
        ("file:///data?/lake", "write %3F"),
        ("file:///data#1/lake", "write %3F or %23"),
        ("file:///lake#", "write %3F or %23"),
        ("file:///a%2520b/lake", "'%20' in its name"),
        ("file:///a%5Cb/lake", "in its name"),
        ("file:///a%0Ab/lake", "in its name"),
        ("s3://", "names no bucket"),
        ("s3:///lake", "names no bucket"),
    ],
)
@pytest.mark.parametrize("name", ["MLOPS_LAKE_URI", "MLOPS_LANDING_URI"])
def test_an_address_that_is_another_folders_to_a_reader_is_refused(name, uri, words):
    with pytest.raises(UsageError, match=name) as raised:
        Settings.from_env({name: uri})
    assert words in str(raised.value)


@pytest.mark.parametrize("folder", ["a[b]", "{a,b}", "a*b", "a b", "ü", "100%", "a'b", "a%3Fb", "a%23b"])
def test_an_address_with_signs_that_mean_a_pattern_elsewhere_is_taken(folder):
    assert Settings.from_env({"MLOPS_LAKE_URI": f"file:///{folder}/lake"}).lake_uri == f"file:///{folder}/lake"


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


def test_an_engine_fills_less_than_a_gigabyte_unless_said_otherwise():
    assert Settings.from_env({}).memory_limit == Settings.from_env({"MLOPS_MEMORY_LIMIT": ""}).memory_limit == "500MB"


@pytest.mark.parametrize("limit", ["1%", "12.5%", "100%", "64MB", "2GB", "1.5 GiB", "2gb", "1TB"])
def test_a_memory_limit_that_is_taken_is_one_that_duckdb_opens_with(limit):
    settings = Settings.from_env({"MLOPS_MEMORY_LIMIT": limit})
    with open_session(purpose="test", memory_limit=settings.memory_limit) as con:
        [(found,)] = con.execute("SELECT current_setting('memory_limit')").fetchall()
    amount, unit = found.split()
    opened_with = memory_bytes(amount + unit, total=0)
    # DuckDB shows what a container may have, in one decimal.
    assert limit.endswith("%") or opened_with == pytest.approx(memory_bytes(limit, total=0), rel=0.06)


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("2", "is no memory limit"),
        ("2G", "is no memory limit"),
        ("half", "is no memory limit"),
        ("-1", "is no memory limit"),
        ("-50%", "is no memory limit"),
        ("1e3MB", "is no memory limit"),
        ("2GB; ATTACH", "is no memory limit"),
        ("0%", "is out of range"),
        ("0.5%", "is out of range"),
        ("101%", "is out of range"),
        ("0GB", "is out of range"),
        ("63MB", "is out of range"),
    ],
)
def test_a_memory_limit_that_is_none_is_refused_with_the_forms_it_may_have(limit, told):
    with pytest.raises(UsageError, match=f"^MLOPS_MEMORY_LIMIT='{limit}' {told}; write a share .*%.* or a size"):
        Settings.from_env({"MLOPS_MEMORY_LIMIT": limit})


def test_a_long_home_has_a_short_socket_of_its_own():
    one, other = (Path("/tmp") / (letter * 120) for letter in "ab")
    assert len(str(embedded_socket_dir(one) / ".s.PGSQL.5432")) < 104
    assert embedded_socket_dir(one) != embedded_socket_dir(other)


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_an_admin_alone_logs_in_unless_others_are_named(value):
    environment = {} if value is None else {"MLOPS_USERS": value}
    assert Settings.from_env(environment).users == (User("admin", "admin"),)


def test_users_have_a_role_each():
    users = Settings.from_env({"MLOPS_USERS": "root:admin, ada:user,bob.b@shop-1:viewer,eve:op"}).users
    assert [(user.name, user.role) for user in users] == [
        ("root", "admin"), ("ada", "user"), ("bob.b@shop-1", "viewer"), ("eve", "op")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("admin", r"'admin' has no role; allowed: viewer, user, op, admin"),
        ("admin:", r"has no role; allowed"),
        ("admin:Admin", r"'admin:Admin' has no role; allowed: .*did you mean 'admin'"),
        ("admin:root", r"'admin:root' has no role"),
        ("admin:admin:team", r"has no role"),
        ("admin:admin,", r"'' does not begin with a name"),
        (":admin", r"':admin' does not begin with a name"),
        ("a da:admin", r"does not begin with a name"),
        ("-x:admin", r"does not begin with a name"),
        ("admin:admin,ada:user,ada:op", r"names ada twice"),
        ("ada:user,bob:op", r"has no admin"),
    ],
)
def test_users_that_airflow_would_take_otherwise_are_refused_with_the_form(value, told):
    with pytest.raises(UsageError, match=f"^MLOPS_USERS.*{told}"):
        Settings.from_env({"MLOPS_USERS": value})


DATABASES = ("MLOPS_DATABASE_URL", "MLOPS_STATE_OWNER_URL", "MLOPS_FEAST_REGISTRY_URL", "MLFLOW_TRACKING_URI")
UNREAD = ("u:s3c@ret@host/x", "u:s3c/ret@host/x", "u:s3c#ret@host/x", "u:s3c?ret@host/x", "u@host:s3cret/x")


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize("address", UNREAD)
def test_a_database_whose_password_could_be_shown_in_part_is_refused_without_it(name, address):
    with pytest.raises(UsageError, match=f"{name} can't be read") as raised:
        Settings.from_env({name: f"postgresql+psycopg://{address}"})
    assert "s3c" not in str(raised.value)


@pytest.mark.parametrize("name", DATABASES[:3])
@pytest.mark.parametrize("address", ["mysql://u:s3cret@host/x", "s3cret", "host:5432/s3cret", " postgresql://s3cret"])
def test_a_database_of_another_kind_is_refused_without_its_password(name, address):
    with pytest.raises(UsageError, match=f"{name} names no database that is supported; write postgresql") as raised:
        Settings.from_env({name: address})
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    "address", ["postgresql://u:%40%2F@host:5432/x?sslmode=require", "postgresql+psycopg://u@[::1]/x"]
)
def test_a_database_is_taken_as_it_is_written(address):
    assert Settings.from_env({name: address for name in DATABASES}).state_owner_url == address


def test_a_file_may_have_any_name(tmp_path):
    urls = {"MLOPS_FEAST_REGISTRY_URL": "sqlite:////a@b/c#d.db", "MLFLOW_TRACKING_URI": "file:///a@b:c/d"}
    settings = Settings.from_env(urls)
    assert [settings.feast_registry_url, settings.mlflow_tracking_uri] == list(urls.values())


def test_a_variable_that_is_empty_is_one_that_is_not_set():
    names = (*DATABASES, "MLOPS_HOME", "MLOPS_LAKE_URI", "MLOPS_FEAST_ONLINE_URL", "AWS_ENDPOINT_URL", "MLOPS_SPECS")
    assert Settings.from_env(dict.fromkeys(names, "")) == Settings.from_env({})


def test_alerts_go_over_connections_by_their_ids_and_an_address_is_not_repeated():
    assert Settings.from_env({}).alert_connections == ()
    assert Settings.from_env({"MLOPS_ALERTS": "mail, chat,mail"}).alert_connections == ("mail", "chat")
    for wrong in ("mail,,chat", "https://hooks.example.org/services/T0KEN"):
        with pytest.raises(UsageError, match=r"MLOPS_ALERTS.*is no id of a connection") as raised:
            Settings.from_env({"MLOPS_ALERTS": wrong})
        assert "T0KEN" not in str(raised.value)
