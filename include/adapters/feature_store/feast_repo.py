"""What ``feature_repo`` says of a deployment: Feast's settings, and what it declares.

What belongs here: reading them. What does not: the declarations themselves, and calls into Feast.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from string import Template
from typing import TypeAlias

import yaml
from feast import Entity, FeatureService, FeatureView
from feast.data_source import DataSource
from feast.repo_config import RepoConfig
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from include.errors import UsageError
from include.settings import PROJECT_ROOT, Settings

Declaration: TypeAlias = Entity | DataSource | FeatureView | FeatureService

_REPO = PROJECT_ROOT / "feature_repo"

# What the URL of an online store begins with, and the class that Feast loads for it.
_ONLINE_STORES = {
    "sqlite": "include.adapters.online.guarded_sqlite.GuardedSqliteOnlineStore",
    "postgresql": "include.adapters.online.guarded_postgres.GuardedPostgreSQLOnlineStore",
    "redis": "include.adapters.online.guarded_redis.GuardedRedisOnlineStore",
    "rediss": "include.adapters.online.guarded_redis.GuardedRedisOnlineStore",
}


def repo_config(settings: Settings) -> RepoConfig:
    """Return ``feature_store.yaml`` for these settings."""
    text = (_REPO / "feature_store.yaml").read_text(encoding="utf-8")
    return RepoConfig(**yaml.safe_load(Template(text).substitute(feast_environment(settings))))


def feast_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that ``feature_store.yaml`` is written with.

    Put into the environment, they make Feast's own commands work on this deployment.

    Raises
    ------
    UsageError
        If the online store's URL is none, or names none that is supported.
    """
    url = settings.feast_online_url
    try:
        backend = make_url(url).get_backend_name()
    except (ArgumentError, ValueError):
        shown = "…" if set("@?") & set(url) else url
        # Not from the cause: its text may hold a password too.
        raise UsageError(
            f"MLOPS_FEAST_ONLINE_URL={shown} is not a URL; write sqlite:///PATH, "
            "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE, redis://HOST:6379/0 or rediss://HOST:6379/0"
        ) from None
    if backend not in _ONLINE_STORES:
        raise UsageError(f"MLOPS_FEAST_ONLINE_URL={backend}://… is not supported; write {', '.join(_ONLINE_STORES)}")
    return {
        "MLOPS_FEAST_REGISTRY_URL": settings.feast_registry_url,
        "MLOPS_FEAST_ONLINE_URL": settings.feast_online_url,
        "MLOPS_FEAST_ONLINE_STORE": _ONLINE_STORES[backend],
        "MLOPS_LAKE_URI": settings.lake_uri,
    }


def declarations() -> list[Declaration]:
    """Return what ``feature_repo`` declares."""
    # Imported by name: only Feast's registry depends on the declarations, no module does.
    found: list[Declaration] = []
    for module, attribute in (
        ("entities", "ENTITIES"),
        ("sources", "SOURCES"),
        ("feature_views", "VIEWS"),
        ("feature_services", "SERVICES"),
    ):
        declared: Mapping[str, Declaration] = getattr(importlib.import_module(f"feature_repo.{module}"), attribute)
        found.extend(declared.values())
    return found


def only_asking(config: RepoConfig) -> RepoConfig:
    """Return Feast's configuration with which a question makes no tables, as Feast's registry does by itself."""
    changed = config.model_copy(update={"registry_config": {**config.registry_config, "schema_mode": "verify"}})
    # Feast keeps the registry's settings that it has parsed.
    changed._registry = None
    return changed
