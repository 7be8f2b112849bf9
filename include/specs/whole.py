"""Specs held against one another: what is wrong with a file that is right by itself, and whose file that is.

What belongs here: pure judgements on the specs of a deployment together. What does not: one file by itself, and
finding the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from include.errors import nearest
from include.specs.conditions import columns_of
from include.specs.groups import EntitySpec, FeatureGroupSpec
from include.specs.models import ModelSpec, RankingModelSpec
from include.specs.services import FeatureServiceSpec
from include.specs.standing import SpecKind, Specs, Violation
from include.specs.taken_names import ANYWAY, taken_by_keys, taken_by_model

# An entity's keys, and the files that give it them.
_Agreed: TypeAlias = tuple[tuple[str, ...], list[str]]


def hold_together(found: Specs) -> Specs:
    """Return the specs that stand beside one another.

    A spec that names one that doesn't stand does not stand either. Of two files that disagree the newcomer is at
    fault: a model that only the overlay has, where the other one ships; whoever gives an entity other keys than most
    files do. Where that says nothing, the file whose name comes first stands.

    Parameters
    ----------
    found : Specs
        Each right by itself, with the violations of those that are not.
    """
    entities = _agreed_entities(found)
    specs = found
    wrong = {name: _wrong_with_group(name, spec, specs, entities) for name, spec in specs.groups.items()}
    specs = specs.without(_violations("feature group", wrong))
    wrong = {name: _wrong_with_service(name, spec, specs) for name, spec in specs.services.items()}
    specs = specs.without(_violations("feature service", wrong))
    specs = specs.without(tuple(_wrong_with_labels(specs)))
    wrong = {name: _wrong_with_model(name, spec, specs, entities) for name, spec in specs.models.items()}
    return specs.without(_violations("model", wrong))


def _violations(kind: SpecKind, wrong: Mapping[str, Iterator[str]]) -> tuple[Violation, ...]:
    return tuple(
        Violation(kind, name, f"{name}.yaml: {said}") for name, sentences in wrong.items() for said in sentences
    )


def _agreed_entities(specs: Specs) -> dict[str, _Agreed]:
    given: dict[str, dict[tuple[str, ...], list[str]]] = {}
    groups = [(name, spec.entity) for name, spec in specs.groups.items()]
    models = [(name, spec.entity) for name, spec in specs.models.items()]
    for name, entity in (*groups, *models):
        given.setdefault(entity.name, {}).setdefault(entity.keys, []).append(name)
    return {entity: max(by_keys.items(), key=lambda found: len(found[1])) for entity, by_keys in given.items()}


def _own_name(key: str, value: str, name: str) -> Iterator[str]:
    if value != name:
        yield f"{key}={value!r} is not the file's name; write {name!r}, or rename the file"


def _entity_keys(entity: EntitySpec, entities: Mapping[str, _Agreed]) -> Iterator[str]:
    keys, files = entities[entity.name]
    if entity.keys != keys:
        yield (
            f"entity={_told(entity)} has other keys than in {', '.join(files)}, [{', '.join(keys)}]; an entity has one "
            "set of keys: take these, or another name"
        )


def _names_of_keys(entity: EntitySpec, entities: Mapping[str, _Agreed]) -> Iterator[str]:
    """Say what is wrong where Feast, which knows a key by an entity's name, would take one for another."""
    alone = {keys for keys, _ in entities.values() if len(keys) == 1}
    for key in entity.keys:
        if key in entities and (key,) not in alone:
            other = EntitySpec(name=key, keys=entities[key][0])
            yield (
                f"entity={_told(entity)} has the key {key}, which no entity has alone and which is the name of "
                f"{_told(other)}; rename the column or that entity, or Feast would take one for the other"
            )


def _stands(said: str, kind: SpecKind, name: str, specs: Specs) -> Iterator[str]:
    wrong, known = specs.violations_of(kind, name), specs.names(kind)
    if wrong:
        yield f"{said} can't be used: {wrong[0].message}"
    elif name not in known:
        yield f"{said} is no {kind}; known: {', '.join(known)}{nearest(name, known)}"


def _told(entity: EntitySpec) -> str:
    return f"{entity.name} [{', '.join(entity.keys)}]"


# --- feature groups


def _wrong_with_group(
    name: str, spec: FeatureGroupSpec, specs: Specs, entities: Mapping[str, _Agreed]
) -> Iterator[str]:
    yield from _own_name("group", spec.group, name)
    yield from _entity_keys(spec.entity, entities)
    yield from _names_of_keys(spec.entity, entities)
    for source in spec.sources:
        yield from _stands(f"sources={source!r}", "source", source, specs)
    if spec.scored_by is None:
        return
    known = specs.names("model")
    if spec.scored_by not in known:
        yield f"scored_by={spec.scored_by!r} is no model; known: {', '.join(known)}{nearest(spec.scored_by, known)}"
    model = specs.models.get(spec.scored_by)
    if model is not None and model.entity != spec.entity:
        yield (
            f"entity={_told(spec.entity)} is not whom {spec.scored_by} scores, {_told(model.entity)}; a group of "
            "scores has its model's entity"
        )
    predicted = ("score", *(model.predicted if model is not None else ("rank", "decision")))
    for column in spec.columns:
        if column.of not in (None, *predicted):
            told = ", ".join(predicted)
            yield f"columns.{column.name}.of={column.of!r} is nothing that {spec.scored_by} predicts; known: {told}"


# --- feature services


def _wrong_with_service(name: str, spec: FeatureServiceSpec, specs: Specs) -> Iterator[str]:
    yield from _own_name("service", spec.service, name)
    for group, columns in spec.features.items():
        yield from _stands(f"features.{group}", "feature group", group, specs)
        if group not in specs.groups:
            continue
        known = specs.groups[group].feature_names
        for column in columns:
            if column not in known:
                yield (
                    f"features.{group}={column!r} is no column of {group}; known: {', '.join(known)}"
                    f"{nearest(column, known)}"
                )


# --- labels


def _wrong_with_labels(specs: Specs) -> Iterator[Violation]:
    for name, kind in specs.labels.items():
        for source in kind.sources:
            for said in _stands(f"{source!r}, which it reads,", "source", source, specs):
                yield Violation("label", name, f"{name}.sql: {said}")


# --- models


def _wrong_with_model(name: str, spec: ModelSpec, specs: Specs, entities: Mapping[str, _Agreed]) -> Iterator[str]:
    yield from _own_name("model_id", spec.model_id, name)
    yield from _registered_name(name, spec, specs)
    yield from _stands(f"features.group={spec.features.group!r}", "feature group", spec.features.group, specs)
    yield from _stands(f"features.service={spec.features.service!r}", "feature service", spec.features.service, specs)
    for wrong in specs.violations_of("label", spec.label.kind):
        yield f"label.kind={spec.label.kind!r} can't be used: {wrong.message}"
    wrong_keys = list(_entity_keys(spec.entity, entities))
    yield from wrong_keys or _reads_what_fits(spec, specs)
    for key in sorted(taken_by_keys(spec) & {*spec.entity.keys}):
        yield f"entity={_told(spec.entity)} has the key {key}, and {ANYWAY.format(key)}"
    yield from _waits_for_itself(name, spec, specs)
    yield from _split_exists(spec)


def _reads_what_fits(spec: ModelSpec, specs: Specs) -> Iterator[str]:
    group, service = specs.groups.get(spec.features.group), specs.services.get(spec.features.service)
    if group is not None and group.entity != spec.entity:
        yield (
            f"features.group={group.group!r} is about {_told(group.entity)}, the model about {_told(spec.entity)}; "
            "take a group of the model's entity"
        )
    elif group is not None:
        yield from _population_fits(spec, group)
        yield from _slices_fit(spec, group)
    if service is not None:
        yield from _service_fits(spec, service, specs)


def _registered_name(name: str, spec: ModelSpec, specs: Specs) -> Iterator[str]:
    holders = [other for other, model in specs.models.items() if model.registered_name == spec.registered_name]
    first = min(holders, key=specs.seniority)
    if first != name:
        why = (
            "ships with the project"
            if name in specs.added and first not in specs.added
            else "comes first by its file's name"
        )
        yield (
            f"registered_name={spec.registered_name!r} is that of {first}, which {why}; give {name} a name of its own, "
            "or two models would move one another's versions"
        )


def _population_fits(spec: ModelSpec, group: FeatureGroupSpec) -> Iterator[str]:
    known = tuple(group.lake_table.schema)
    for column in columns_of(spec.population):
        if column not in known:
            yield (
                f"population={spec.population!r} names {column}, which is no column of {group.group}; known: "
                f"{', '.join(known)}{nearest(column, known)}"
            )


def _slices_fit(spec: ModelSpec, group: FeatureGroupSpec) -> Iterator[str]:
    types = {column.name: column.dtype for column in group.columns}
    for each in spec.monitoring.slices:
        said = f"monitoring.slices names {each.column}"
        if each.column not in types:
            yield (
                f"{said}, which is no column of {group.group}; known: {', '.join(types)}"
                f"{nearest(each.column, tuple(types))}"
            )
        elif types[each.column] == "string" and each.ends:
            yield f"{said}, which is a text, with ends={list(each.ends)}; leave them out, each value is a slice"
        elif types[each.column] != "string" and not each.ends:
            yield f"{said}, which is a {types[each.column]}, without ends; say where it is cut, e.g. ends: [1, 10]"


def _service_fits(spec: ModelSpec, service: FeatureServiceSpec, specs: Specs) -> Iterator[str]:
    said = f"features.service={service.service!r} reads"
    for group in (specs.groups[name] for name in service.features):
        if not set(group.entity.keys) <= set(spec.entity.keys):
            yield (
                f"{said} {group.group}, which is about {_told(group.entity)}; every key must be one of the model's "
                f"entity, {_told(spec.entity)}"
            )
        for column in sorted(taken_by_model(spec) & {*service.features[group.group]}):
            yield f"{said} {group.group}.{column}, and {ANYWAY.format(column)}"
        texts = [c.name for c in group.columns if c.dtype == "string" and c.name in service.features[group.group]]
        if texts:
            yield f"{said} {group.group}.{texts[0]}, which is a string; a model reads numbers, encode it in the group"
    yield from _tells_items_apart(spec, service, specs)
    if spec.decision.features_min > (count := len(service.feature_names)):
        yield (
            f"decision.features_min={spec.decision.features_min} is above the {count} features of "
            f"{service.service}; no drift would ever ask for a retrain"
        )


def _tells_items_apart(spec: ModelSpec, service: FeatureServiceSpec, specs: Specs) -> Iterator[str]:
    if not isinstance(spec, RankingModelSpec):
        return
    if all(spec.item_key not in specs.groups[name].entity.keys for name in service.features):
        yield (
            f"features.service={service.service!r} reads no group that has the key {spec.item_key}, so that all items "
            f"of a list would have one score; add columns of a group about {_told(spec.entity)}, or {spec.item_key}"
        )


def _waits_for_itself(name: str, spec: ModelSpec, specs: Specs) -> Iterator[str]:
    """Say what is wrong where a model reads scores that were made of its own; of a circle the first model stands."""
    paths = [[name, scorer] for scorer in _scorers(spec, specs)]
    while paths:
        path = paths.pop()
        if path[-1] == name:
            if len(path) == 2 or min(path, key=specs.seniority) != name:
                yield (
                    f"features.service={spec.features.service!r} reads scores that are made of this model's own "
                    f"({' reads '.join(path)}); none of them could be scored first"
                )
                return
        elif path[-1] in specs.models and path[-1] not in path[:-1]:
            paths += [[*path, scorer] for scorer in _scorers(specs.models[path[-1]], specs)]


def _scorers(spec: ModelSpec, specs: Specs) -> Iterator[str]:
    """Find the models whose scores a model reads."""
    service = specs.services.get(spec.features.service)
    for group in service.features if service is not None else ():
        if (scorer := specs.groups[group].scored_by) is not None:
            yield scorer


def _split_exists(spec: ModelSpec) -> Iterator[str]:
    """Say what is wrong where every snapshot of the window is in the test, or in the gap before it."""
    training, horizon = spec.training, spec.label.horizon_days
    ages = range(0, training.window_days, training.snapshot_every_days)
    oldest_test = max(age for age in ages if age < training.test_days)
    if ages[-1] < oldest_test + horizon:
        yield (
            f"training.window_days={training.window_days} leaves no snapshot to fit on: the test takes those of the "
            f"last {training.test_days} days and the gap before it is label.horizon_days={horizon}; with a snapshot "
            f"every {training.snapshot_every_days} days write more than {_next(oldest_test + horizon, ages.step)}, or "
            "lower training.test_days"
        )


def _next(days: int, step: int) -> int:
    return -(-days // step) * step
