"""The deployment's settings: the only place that reads the environment.

What belongs here: where things are (lake, databases, ports). What does not: how a model
behaves, which is a value in its spec, and secrets of external systems, which are Airflow
connections.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Literal, cast, get_args
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

from include.errors import UsageError, nearest
from include.home import recall, settings_file

ComputeEngine = Literal["duckdb", "spark"]
Role = Literal["viewer", "user", "op", "admin"]

PROJECT_ROOT = Path(__file__).resolve().parent.parent
STATE_OWNER_URL = "MLOPS_STATE_OWNER_URL"
SERVING_CACHE_URL = "MLOPS_SERVING_CACHE_URL"
SERVING_PORT, DEFAULT_SERVING_PORT = "MLOPS_SERVING_PORT", 8090
# The role that owns the embedded state; the application's is called as the database is.
STATE_OWNER = "state_owner"
# With it ten million lines are imported in less than 1.5 GB, and 300 days of 250,000 customers built in less than 2 GB
# (`benchmarks/memory.py`): a process holds its libraries and half a million rows and their copies besides.
MEMORY_LIMIT = "500MB"
_SCHEMES = ("file://", "s3://")
_POSTGRES = ("postgresql+psycopg://", "postgresql://")
_SQL = (*_POSTGRES, "sqlite:///")
# delta-rs takes it for another sign, or for the end of a folder's name.
_NO_FOLDER = re.compile(r"%[0-9A-Fa-f]{2}|[\\\x00-\x1f]")
# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, with the closing zero.
_SOCKET_PATH_MAX = 103
_MEMORY = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(%|[MGT]i?B)", re.IGNORECASE)
# Below it a session of DuckDB can't hold one block for each core.
_MEMORY_MIN = 64 * 10**6
# Airflow splits its list of users at commas and colons.
_USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_CONNECTION = re.compile(r"[A-Za-z0-9_.-]{1,200}")
USERS = "admin:admin"


@dataclass(frozen=True)
class User:
    """Who may log in to the embedded Airflow, and what they may do there: a role has the rights of those before it."""

    name: str
    role: Role


@dataclass(frozen=True)
class Settings:
    """Where this deployment keeps things.

    Attributes
    ----------
    home : Path
        Directory of everything that the embedded default writes.
    lake_uri : str
        ``file://`` or ``s3://`` root of the Delta tables, without a trailing slash.
    landing_uri : str
        Where deliveries of orders arrive, one folder ``dt=YYYY-MM-DD`` a day.
    database_url : str
        SQLAlchemy URL of the state database (PostgreSQL, psycopg).
    state_owner_url : str or None
        The same database as the role that owns its tables: for migrations, and for nothing else. None where the
        application owns them itself.
    feast_registry_url, feast_online_url : str
        URLs of Feast's SQL registry (SQLAlchemy) and of its online store: PostgreSQL, SQLite or Redis.
    mlflow_tracking_uri : str
        Database or server of MLflow's tracking and registry.
    mlflow_artifact_uri : str
        Root under which MLflow keeps a model's files.
    s3_endpoint_url : str or None
        Endpoint of an S3 server that isn't Amazon's.
    compute : {"duckdb", "spark"}
        Engine that runs the feature groups' SQL.
    memory_limit : str
        Memory that a session of the engine may fill: a share of the machine's (or its container's), or a size.
    retention_days : int
        How long a table's replaced rows are kept, and a training set after its day.
    specs_overlay : Path or None
        Folder of YAML files laid over ``include/config/models``: the home's, or where it has not been made yet the
        environment's.
    users : tuple of User
        Who logs in to the embedded Airflow; at least one is an admin.
    port : int or None
        Port of the embedded Airflow; None takes 8080, or a free one where that is busy.
    serving_port : int or None
        Port of the home's online service; None takes 8090, or a free one where that is busy.
    serving_host : str
        Address that the online service listens on by itself; on another than this machine's own it needs keys.
    serving_in_flight : int
        Requests that a process of it answers at once; more are turned away.
    serving_cache_url : str or None
        Redis in which processes of it share what they read online, where a model's spec says so.
    alert_connections : tuple of str
        Airflow's connections that alerts go over; none where nobody is told.
    code_commit, image_digest : str or None
        What a deployment without a git checkout knows of itself.
    """

    home: Path
    lake_uri: str
    landing_uri: str
    database_url: str
    state_owner_url: str | None
    feast_registry_url: str
    feast_online_url: str
    mlflow_tracking_uri: str
    mlflow_artifact_uri: str
    s3_endpoint_url: str | None
    compute: ComputeEngine
    memory_limit: str
    retention_days: int
    specs_overlay: Path | None
    users: tuple[User, ...]
    port: int | None
    serving_port: int | None
    serving_host: str
    serving_in_flight: int
    serving_cache_url: str | None
    alert_connections: tuple[str, ...]
    code_commit: str | None
    image_digest: str | None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from environment variables.

        Parameters
        ----------
        environ : mapping of str to str, optional
            Default: the process's environment.

        Raises
        ------
        UsageError
            If a URI has a scheme that isn't supported, another value isn't allowed, or the home was made with
            another overlay.
        """
        env = os.environ if environ is None else environ
        home = home_from_env(env)
        embedded = partial(embedded_database_url, home)
        database_url = _database(env, "MLOPS_DATABASE_URL", embedded("state"), _POSTGRES)
        owner = embedded("state", role=STATE_OWNER) if database_url == embedded("state") else ""
        return cls(
            home=home,
            lake_uri=_uri(env, "MLOPS_LAKE_URI", home / "lake"),
            landing_uri=_uri(env, "MLOPS_LANDING_URI", home / "landing"),
            database_url=database_url,
            state_owner_url=_database(env, STATE_OWNER_URL, owner, _POSTGRES) or None,
            feast_registry_url=_database(env, "MLOPS_FEAST_REGISTRY_URL", embedded("feast_registry"), _SQL),
            feast_online_url=env.get("MLOPS_FEAST_ONLINE_URL") or embedded("feast_online"),
            mlflow_tracking_uri=_database(env, "MLFLOW_TRACKING_URI", embedded("mlflow"), ("",)),
            mlflow_artifact_uri=env.get("MLOPS_MLFLOW_ARTIFACTS") or (home / "mlflow").as_uri(),
            s3_endpoint_url=env.get("AWS_ENDPOINT_URL") or None,
            compute=_compute(env, "MLOPS_COMPUTE"),
            memory_limit=_memory(env, "MLOPS_MEMORY_LIMIT"),
            retention_days=_whole(env, "MLOPS_RETENTION_DAYS", 90, most=36_600, what="days"),
            specs_overlay=_overlay(env, "MLOPS_SPECS", home),
            users=_users(env, "MLOPS_USERS"),
            port=_port(env, "MLOPS_PORT"),
            serving_port=_port(env, SERVING_PORT),
            serving_host=env.get("MLOPS_SERVING_HOST") or "127.0.0.1",
            serving_in_flight=_whole(env, "MLOPS_SERVING_IN_FLIGHT", 256, most=100_000, what="requests"),
            serving_cache_url=_database(env, SERVING_CACHE_URL, "", ("redis://", "rediss://")) or None,
            alert_connections=_connections(env, "MLOPS_ALERTS"),
            code_commit=env.get("MLOPS_CODE_COMMIT"),
            image_digest=env.get("MLOPS_IMAGE_DIGEST"),
        )


def home_from_env(environ: Mapping[str, str] | None = None) -> Path:
    """Return the home that the environment names: all that stopping it takes, whatever else is wrong there.

    Raises
    ------
    UsageError
        If it can't be one, as a file is in its place.
    """
    env = os.environ if environ is None else environ
    value = env.get("MLOPS_HOME") or str(PROJECT_ROOT / ".mlops")
    home = _folder(value, "MLOPS_HOME")
    above = next(path for path in (home, *home.parents) if os.path.lexists(path))
    if not above.is_dir():
        raise UsageError(
            f"MLOPS_HOME={value!r} is no folder: {above} is a file; name one that is there for a home alone, or that "
            "can be made"
        )
    return home


def local_path(uri: str) -> Path:
    """Return the path that a ``file://`` URI names."""
    return Path(url2pathname(urlparse(uri).path))


def embedded_database_url(home: Path, database: str, *, role: str | None = None) -> str:
    """Return the URL of a database of the embedded PostgreSQL, reached by its Unix socket.

    A socket needs no port, so two homes never meet.

    Parameters
    ----------
    home : Path
    database : str
    role : str, optional
        Default: the one of the database's name.
    """
    host = quote(str(embedded_socket_dir(home)), safe="")
    return f"postgresql+psycopg://{role or database}:@/{database}?host={host}"


def embedded_socket_dir(home: Path) -> Path:
    """Return the folder of the embedded PostgreSQL's socket: its data folder, or a short one where that is too long."""
    folder = home / "postgres"
    if len(str(folder / ".s.PGSQL.5432")) <= _SOCKET_PATH_MAX:
        return folder
    return Path(gettempdir()) / f"mlops-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"


def memory_bytes(limit: str, *, total: int) -> int:
    """Return the bytes that a memory limit means on a machine that has `total`.

    Examples
    --------
    >>> memory_bytes("50%", total=8_000), memory_bytes("2GB", total=8_000), memory_bytes("1.5 MiB", total=8_000)
    (4000, 2000000000, 1572864)

    Raises
    ------
    UsageError
        If it is neither a share nor a size.
    """
    match = _MEMORY.fullmatch(limit)
    if match is None:
        raise UsageError(f"{limit!r} is no memory limit; write a share such as 50%, or a size such as 2GB")
    number, unit = float(match[1]), match[2].upper()
    if unit == "%":
        return int(total * number / 100)
    return int(number * (1024 if "I" in unit else 1000) ** (2 + "MGT".index(unit[0])))


def _memory(env: Mapping[str, str], name: str) -> str:
    value = env.get(name) or MEMORY_LIMIT
    try:
        amount = memory_bytes(value, total=100)
    except UsageError as err:
        raise UsageError(f"{name}={err}") from err
    if not (1 <= amount <= 100 if value.endswith("%") else amount >= _MEMORY_MIN):
        raise UsageError(f"{name}={value!r} is out of range; write a share from 1% to 100%, or a size from 64MB on")
    return value


def _overlay(env: Mapping[str, str], name: str, home: Path) -> Path | None:
    value, kept = env.get(name), recall(home)
    asked = _folder(value, name) if value else None
    if asked is not None and asked.exists() and not asked.is_dir():
        raise UsageError(f"{name}={value!r} is a file; name the folder of specs that it lies in, or unset {name}")
    if kept is None:
        return asked
    if asked is not None and asked != kept.specs_overlay:
        raise UsageError(
            f"{name}={value!r}, but {home} was made with {kept.specs_overlay or 'the specs as they ship'}; unset "
            f"{name}, or set MLOPS_HOME to another folder. To change this home for good, stop it and write the other "
            f"folder in {settings_file(home)}: versions that wait for approval are held against their gates anew"
        )
    return kept.specs_overlay


def _folder(value: str, name: str) -> Path:
    try:
        return Path(value).expanduser().resolve()
    except RuntimeError as err:
        raise UsageError(
            f"{name}={value!r} names no folder ({str(err).rstrip('.')}); name one that is there or can be made"
        ) from err


def _users(env: Mapping[str, str], name: str) -> tuple[User, ...]:
    value = env.get(name) or USERS
    users = tuple(_user(name, entry) for entry in value.split(","))
    names = [user.name for user in users]
    if twice := next((each for each in names if names.count(each) > 1), None):
        raise UsageError(f"{name}={value!r} names {twice} twice; write each user once, e.g. {USERS},ada:user")
    if all(user.role != "admin" for user in users):
        raise UsageError(f"{name}={value!r} has no admin, whom the start itself needs; add one, e.g. {USERS}")
    return users


def _user(name: str, entry: str) -> User:
    user, _, role = entry.strip().partition(":")
    allowed = get_args(Role)
    if not _USER_NAME.fullmatch(user):
        raise UsageError(
            f"{name}: {entry!r} does not begin with a name of letters, digits and . _ @ -; write NAME:ROLE, with "
            f"commas between, e.g. {USERS},ada:user"
        )
    if role not in allowed:
        raise UsageError(f"{name}: {entry!r} has no role; allowed: {', '.join(allowed)}{nearest(role, allowed)}")
    return User(user, cast("Role", role))


def _connections(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    value = env.get(name) or ""
    named = tuple(dict.fromkeys(part.strip() for part in value.split(","))) if value else ()
    wrong = next((each for each in named if not _CONNECTION.fullmatch(each)), None)
    if wrong is not None:
        # Not repeated whole: somebody may have written an address, which is as good as its password.
        raise UsageError(
            f"{name}: what begins with {wrong[:8]!r} is no id of a connection; write ids of Airflow's connections, "
            "with commas between, e.g. alerts_mail,alerts_chat"
        )
    return named


def _uri(env: Mapping[str, str], name: str, default: Path) -> str:
    value = env.get(name) or default.as_uri()
    if not value.startswith(_SCHEMES):
        raise UsageError(
            f"{name}={value!r} has no scheme that is supported; write {' or '.join(_SCHEMES)}…, e.g. {default.as_uri()}"
        )
    if value.startswith("file://"):
        _check_path(value, name)
    elif not urlparse(value).netloc:
        raise UsageError(f"{name}={value!r} names no bucket; write s3://BUCKET/FOLDER")
    return value.rstrip("/")


def _database(env: Mapping[str, str], name: str, default: str, schemes: tuple[str, ...]) -> str:
    """Return a database's URL, which no message may repeat before it is known where its password ends."""
    value = env.get(name) or default
    if value and not value.startswith(schemes):
        raise UsageError(f"{name} names no database that is supported; write {' or '.join(schemes)}…")
    scheme, _, rest = value.partition("://")
    user = rest.partition("?")[0].rpartition("@")[0]
    if scheme not in ("sqlite", "file") and (any(sign in user for sign in "@/#[]") or not _has_port(value)):
        raise UsageError(
            f"{name} can't be read: its port is no number, or its password has a sign that means something in a URL; "
            "write @ as %40, / as %2F, : as %3A, # as %23, ? as %3F and % as %25"
        )
    return value


def _has_port(address: str) -> bool:
    """Say whether the port of an address is a number, or not there."""
    try:
        return urlparse(address).port != 0
    except ValueError:
        return False


def _check_path(value: str, name: str) -> None:
    """Refuse an address that would be another folder's to one of those who read it."""
    parsed = urlparse(value)
    if parsed.netloc:
        raise UsageError(
            f"{name}={value!r} is no absolute path; write file:///{parsed.netloc}{parsed.path}, or its parent"
        )
    if parsed.query or parsed.fragment or value.endswith(("?", "#")):
        raise UsageError(f"{name}={value!r} ends for a reader at ? or #; write %3F or %23 for them")
    if found := _NO_FOLDER.search(str(local_path(value))):
        raise UsageError(f"{name}={value!r}: no table can be kept in a folder with {found[0]!r} in its name; rename it")


def _port(env: Mapping[str, str], name: str) -> int | None:
    value = env.get(name)
    if not value:
        return None
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise UsageError(f"{name}={value!r} is not a port; write a number from 1 to 65535, or leave it unset")
    return int(value)


def _whole(env: Mapping[str, str], name: str, default: int, *, most: int, what: str) -> int:
    value = env.get(name) or str(default)
    if not value.isdigit() or not 1 <= int(value) <= most:
        raise UsageError(f"{name}={value!r} is no number of {what}; write a whole number from 1 to {most}")
    return int(value)


def _compute(env: Mapping[str, str], name: str) -> ComputeEngine:
    value, allowed = env.get(name) or "duckdb", get_args(ComputeEngine)
    if value not in allowed:
        raise UsageError(f"{name}={value!r} is no engine; allowed: {', '.join(allowed)}{nearest(value, allowed)}")
    return cast("ComputeEngine", value)
