"""What Feast's registry declares, found by name, and the prepared reads of it.

What belongs here: looking a service, a group or an entity up, with the nearest known name where there is none.
What does not: calls that read or write features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from feast import FeatureService, FeatureStore, FeatureView
from feast.errors import FeastObjectNotFoundException
from feast.infra.online_stores.helpers import compute_versioned_name
from feast.types import String, from_feast_to_pyarrow_type

from include.adapters.online.online_store import GuardedOnlineStore
from include.adapters.online.reading import OnlineReader, select_features
from include.adapters.online.stored_columns import ViewColumns
from include.errors import UsageError, nearest

_Declared = TypeVar("_Declared", FeatureView, FeatureService)


class FeatureCatalogue:
    """The declarations of one registry.

    Each method raises UsageError where its name is not known, and Feast's FeastObjectNotFoundException where the
    registry holds nothing of the kind, because it was never applied.

    Parameters
    ----------
    store : FeatureStore
        Its registry is read.
    online_store : GuardedOnlineStore
        What readers ask.
    """

    def __init__(self, store: FeatureStore, online_store: GuardedOnlineStore) -> None:
        self._store = store
        self._online_store = online_store
        self._readers: dict[tuple[str, str, tuple[str, ...] | None], OnlineReader] = {}

    def view(self, name: str) -> FeatureView:
        """Return the view of a feature group."""
        return _found("feature group", name, self._store.get_feature_view, self._store.list_feature_views)

    def service(self, name: str) -> FeatureService:
        """Return a feature service."""
        return _found("feature service", name, self._store.get_feature_service, self._store.list_feature_services)

    def join_keys(self, service: FeatureService) -> list[str]:
        """Return the columns that a service's features are joined on, each once."""
        views = [self.view(projection.name) for projection in service.feature_view_projections]
        return list(dict.fromkeys(column.name for view in views for column in view.entity_columns))

    def online_views(self, join_key: str) -> dict[tuple[str, ...], list[FeatureView]]:
        """Return the views that are served online and keyed by this column, by all columns that they are keyed by."""
        known = sorted(str(declared.join_key) for declared in self._store.list_entities())
        if join_key not in known:
            raise _unknown("join key", join_key, known)
        found: dict[tuple[str, ...], list[FeatureView]] = {}
        for view in self._store.list_feature_views():
            keys = tuple(sorted(column.name for column in view.entity_columns))
            if view.online and join_key in keys:
                found.setdefault(keys, []).append(view)
        return found

    def service_reader(self, name: str, features: Sequence[str] | None) -> OnlineReader:
        """Return the prepared read of a service's features, or of some of them; made once."""
        key = ("service", name, None if features is None else tuple(features))
        if key not in self._readers:
            self._readers[key] = self._reader(self._service_columns(name), features, of=f"feature service {name}")
        return self._readers[key]

    def group_reader(self, name: str, features: Sequence[str] | None) -> OnlineReader:
        """Return the prepared read of a group's features, or of some of them; made once."""
        key = ("group", name, None if features is None else tuple(features))
        if key not in self._readers:
            view = self.view(name)
            columns = self._columns(view, [feature.name for feature in view.features])
            self._readers[key] = self._reader([columns], features, of=f"feature group {name}")
        return self._readers[key]

    def forget_readers(self) -> None:
        """Let every read be prepared anew: what is declared has changed."""
        self._readers.clear()

    def _reader(self, whole: Sequence[ViewColumns], features: Sequence[str] | None, *, of: str) -> OnlineReader:
        chosen = select_features([name for columns in whole for name in columns.features], features, of=of)
        wanted = [replace(c, dtypes={name: c.dtypes[name] for name in c.features if name in chosen}) for c in whole]
        config = self._store.config
        return OnlineReader(
            lambda views: self._online_store.prepare_read(config, views),
            [columns for columns in wanted if columns.features],
        )

    def _service_columns(self, name: str) -> list[ViewColumns]:
        return [
            self._columns(self.view(projection.name), [feature.name for feature in projection.features])
            for projection in self.service(name).feature_view_projections
        ]

    def _columns(self, view: FeatureView, features: Sequence[str]) -> ViewColumns:
        for column in view.entity_columns:
            if column.dtype != String:
                raise UsageError(
                    f"view {view.name} is keyed by {column.name} of type {column.dtype}; online reads take views that "
                    "are keyed by strings"
                )
        fields = {field.name: field.dtype for field in view.features}
        return ViewColumns(
            compute_versioned_name(view, self._store.config.registry.enable_online_feature_view_versioning),
            tuple(column.name for column in view.entity_columns),
            {name: from_feast_to_pyarrow_type(fields[name]) for name in features},
            view.ttl,
        )


def _found(
    kind: str, name: str, get: Callable[[str], _Declared], declared: Callable[[], Sequence[_Declared]]
) -> _Declared:
    try:
        return get(name)
    except FeastObjectNotFoundException:
        known = [found.name for found in declared()]
        if not known:
            raise
        raise _unknown(kind, name, known) from None


def _unknown(kind: str, name: str, known: Sequence[str]) -> UsageError:
    return UsageError(f"unknown {kind} {name!r}{nearest(str(name), known)}; known are {', '.join(known) or 'none'}")
