"""The environment variables under which the embedded Airflow and its tasks run.

What belongs here: one mapping from a home and a port to variables. What does not: starting anything.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from pathlib import Path

from include.embedded.logins import passwords_file
from include.home import write_private
from include.settings import PROJECT_ROOT, STATE_OWNER_URL, Settings, embedded_database_url

# Telemetry of the libraries: nothing leaves the machine.
_QUIET = {
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "DO_NOT_TRACK": "1",
    "FEAST_USAGE": "False",
    "GX_ANALYTICS_ENABLED": "False",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def steps_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a process that runs steps: where this deployment's things are."""
    return {
        **{name: value for name, value in os.environ.items() if name != STATE_OWNER_URL},
        **_QUIET,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": os.pathsep.join((str(PROJECT_ROOT), str(PROJECT_ROOT / "plugins"))),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        **_handed_on(settings),
    }


def airflow_environment(settings: Settings, port: int) -> dict[str, str]:
    """Return the whole environment of the embedded processes.

    Parameters
    ----------
    settings : Settings
        Its home holds Airflow's files; its URLs are handed on to the tasks.
    port : int
        Where the API server listens, on 127.0.0.1.
    """
    airflow_home = settings.home / "airflow"
    address = f"http://127.0.0.1:{port}"
    database = embedded_database_url(settings.home, "airflow")
    return {
        **steps_environment(settings),
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW_CONN_FS_DEFAULT": json.dumps({"conn_type": "fs", "extra": {"path": "/"}}),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": _secret(airflow_home, "secret_key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(airflow_home, "jwt_secret"),
        "AIRFLOW__CORE__ALLOWED_DESERIALIZATION_CLASSES_REGEXP": r"include\.refs\..*",
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT_ROOT / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": _fernet_key(airflow_home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": os.environ.get("AIRFLOW__CORE__PARALLELISM", "4"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT_ROOT / "plugins"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(settings.home)),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user.name}:{user.role}" for user in settings.users),
        # With psycopg 3 a query of Airflow's is refused: docs/decisions/0021-airflows-own-driver.md.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.replace("+psycopg:", "+psycopg2:"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.replace("+psycopg:", "+psycopg_async:"),
        "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(airflow_home / "logs"),
        # Airflow sets them itself, whatever the umask is.
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        "AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        # Seconds. Tasks of a scheduler that was killed wait for this look to be run again; by default five minutes.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": os.environ.get(
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME", "0.5"
        ),
        # Seconds. A task whose sockets close a moment before its process has ended holds its slot for so long, and one
        # that is skipped is told as running: by default five.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def owner_environment(settings: Settings) -> dict[str, str]:
    """Return what the deploy step is given besides: nobody else reaches the state as its owner."""
    return {} if settings.state_owner_url is None else {STATE_OWNER_URL: settings.state_owner_url}


def _handed_on(settings: Settings) -> dict[str, str]:
    variables = {
        "MLOPS_HOME": str(settings.home),
        "MLOPS_LAKE_URI": settings.lake_uri,
        "MLOPS_LANDING_URI": settings.landing_uri,
        "MLOPS_DATABASE_URL": settings.database_url,
        "MLOPS_FEAST_REGISTRY_URL": settings.feast_registry_url,
        "MLOPS_FEAST_ONLINE_URL": settings.feast_online_url,
        "MLOPS_MLFLOW_ARTIFACTS": settings.mlflow_artifact_uri,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
    }
    if settings.specs_overlay is not None:
        variables["MLOPS_SPECS"] = str(settings.specs_overlay)
    return variables


def _fernet_key(airflow_home: Path) -> str:
    return base64.urlsafe_b64encode(bytes.fromhex(_secret(airflow_home, "fernet_key"))[:32]).decode()


def _secret(airflow_home: Path, name: str) -> str:
    """Return the home's secret of that name, 64 random bytes as hex, made at first use."""
    path = airflow_home / "secrets" / name
    if not path.exists():
        write_private(path, secrets.token_hex(64))
    return path.read_text()
