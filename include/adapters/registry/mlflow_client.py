"""A client of MLflow: made quietly, refused at once where nothing answers.

What belongs here: reaching MLflow, and what its errors are told as. What does not: what it is asked.
"""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from include.errors import MlopsError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SERVER_TIMEOUT_S = 10

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def connect(uri: str, *, makes_tables: bool = False) -> MlflowClient:
    """Return a client of MLflow's tracking and registry.

    Parameters
    ----------
    uri : str
        A database (``postgresql+psycopg://…``, ``sqlite:///…``) or a server (``http://…``).
    makes_tables : bool
        Let MLflow make its tables where there are none, which it does whatever it is asked first.

    Raises
    ------
    MlopsError
        If nothing answers there, or a database has none of MLflow's tables.
    """
    # MLflow asks an unreachable database again for minutes: ask once before it does.
    _require_reachable(uri, makes_tables=makes_tables)
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def explained(uri: str, what_fails: str) -> Iterator[None]:
    """Turn what MLflow raises inside the block into an `MlopsError` that names the place."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as err:
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise MlopsError(f"MLflow at {shown(uri)}: {what_fails}: {reason}") from err


def shown(uri: str) -> str:
    """Return the address without its password."""
    try:
        return sa.make_url(uri).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return uri


def _require_reachable(uri: str, *, makes_tables: bool) -> None:
    try:
        if uri.startswith(("http://", "https://")):
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_SERVER_TIMEOUT_S).close()  # noqa: S310 - http
            return
        url = sa.make_url(uri)
        if url.get_backend_name() == "sqlite" and url.database:
            if makes_tables:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            elif not Path(url.database).exists():
                raise FileNotFoundError(f"there is no file {url.database}")
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
            has_tables = makes_tables or sa.inspect(connection).has_table("experiments")
    except (urllib.error.URLError, OSError, SQLAlchemyError) as err:
        reason = str(getattr(err, "orig", None) or err).strip().splitlines()[0]
        raise MlopsError(
            f"MLflow at {shown(uri)} can't be reached: {reason}; start it (make up does), or set MLFLOW_TRACKING_URI"
        ) from err
    if not has_tables:
        raise MlopsError(
            f"the database of MLflow at {shown(uri)} has none of its tables; make up brings them, on servers "
            "python -m include.embedded.deploy"
        )
