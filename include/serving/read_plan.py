"""What is read online for a version, from its specs: which features of which groups, and whom it is asked about.

What belongs here: from specs to a read. What does not: the store's address (``open_online_store``), and reading.

Feast's registry says the same, and is not asked: the specs are what it was made from, and take no seconds to start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import yaml

from include.adapters.online.open_store import open_online_store
from include.adapters.online.reading import OnlineReader
from include.adapters.online.stored_columns import ViewColumns
from include.errors import MlopsError
from include.question.row_condition import row_condition
from include.serving.online_features import ReadPlan
from include.serving.served_version import ServedVersion
from include.settings import PROJECT_ROOT, Settings
from include.specs.conditions import columns_of
from include.specs.groups import FeatureGroupSpec, load_feature_group
from include.specs.models import ModelSpec
from include.specs.services import FeatureServiceSpec, load_feature_service
from include.steps.read_inputs import ask_population

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

_PLACE = "place_in_question"


def feast_project() -> str:
    """Return the name of Feast's project, with which the names of its tables and keys are made."""
    said = yaml.safe_load((PROJECT_ROOT / "feature_repo" / "feature_store.yaml").read_text(encoding="utf-8"))
    return str(said["project"])


def read_plan(deployment: Deployment, version: ServedVersion) -> ReadPlan:
    """Return what is read for a version.

    Raises
    ------
    SpecError
        If the version's feature service, or a group of it, is not there any more.
    MlopsError
        If its model is asked about other keys than its group has.
    """
    spec, own = version.spec, load_feature_group(version.spec.features.group)
    if spec.entity.keys != own.entity.keys:
        raise MlopsError(
            f"{spec.model_id} is asked about {', '.join(spec.entity.keys)}, its group {own.group} is keyed by "
            f"{', '.join(own.entity.keys)}; mlops models check says more"
        )
    conditions = [name for name in columns_of(spec.population) if name in own.feature_names]
    views = _views(load_feature_service(version.signature.feature_service), own, conditions)
    return ReadPlan(
        prepare=_preparing(deployment.settings, spec, views),
        features=version.signature.feature_names,
        own=views[0].features,
        holds=_population(deployment, spec, {name: own.column_types[name] for name in conditions}),
        ttls_us={name: view.ttl_us for view in views for name in view.features if view.ttl_us is not None},
        kind=_kind(deployment.settings, spec, version.signature.feature_names, views),
    )


def _kind(settings: Settings, spec: ModelSpec, features: Sequence[str], views: Sequence[ViewColumns]) -> str:
    """Return a digest of all that makes a row what it is: store, groups, their types and ttl, order, and condition."""
    read = repr((settings.feast_online_url, feast_project(), tuple(features), tuple(views), spec.population))
    return hashlib.sha256(read.encode()).hexdigest()


def _views(service: FeatureServiceSpec, own: FeatureGroupSpec, conditions: Sequence[str]) -> list[ViewColumns]:
    """Return what is read of each group, the model's own first: its keys are the entity's, in their order."""
    wanted = {own.group: [*service.features.get(own.group, ()), *conditions]}
    wanted |= {group: list(columns) for group, columns in service.features.items() if group != own.group}
    return [_view(load_feature_group(group), list(dict.fromkeys(columns))) for group, columns in wanted.items()]


def _preparing(settings: Settings, spec: ModelSpec, views: Sequence[ViewColumns]) -> Callable[[], OnlineReader]:
    def prepare() -> OnlineReader:
        store = open_online_store(
            settings.feast_online_url, project=feast_project(), timeout_s=spec.serving.store_timeout_ms / 1000
        )
        return OnlineReader(store, views)

    return prepare


def _view(group: FeatureGroupSpec, columns: Sequence[str]) -> ViewColumns:
    # A service may read none of the model's own group; whether there is a row of it is asked all the same.
    dtypes = {name: pa.type_for_alias(group.column_types[name]) for name in columns or group.feature_names[:1]}
    return ViewColumns(group.group, group.entity.keys, dtypes, timedelta(days=group.ttl_days))


def _population(
    deployment: Deployment, spec: ModelSpec, dtypes: Mapping[str, str]
) -> Callable[[Mapping[str, Sequence[object]]], Sequence[bool]]:
    names = list(dtypes)

    def by_engine(columns: Mapping[str, Sequence[object]]) -> Sequence[bool]:
        count = len(next(iter(columns.values())))
        made = {name: pa.array(columns[name], pa.type_for_alias(dtypes[name])) for name in names}
        # A condition may name no column, and a table without any has no rows.
        rows = pa.table({_PLACE: pa.array(range(count), pa.int64()), **made})
        asked: Sequence[bool] = ask_population(deployment, spec, rows).to_pylist()
        return asked

    if (holds := row_condition(spec.population, dtypes)) is None:
        return by_engine

    def by_row(columns: Mapping[str, Sequence[object]]) -> Sequence[bool]:
        rows = zip(*(columns[name] for name in names), strict=True)
        return [holds(dict(zip(names, row, strict=True))) is True for row in rows]

    return by_row
