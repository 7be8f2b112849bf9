"""Erase a person: from every table of the lake and from the online store, and say what still holds the person.

What belongs here: removing rows once, and in which order. What does not: which rows they are, and what a pin is.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.lake.staged_scores import remove_plans
from include.adapters.lake.training_sets import read_training_set
from include.errors import MlopsError, UsageError
from include.specs.groups import FeatureGroupSpec, load_feature_groups
from include.specs.lake_tables import list_tables
from include.specs.models import load_models
from include.specs.sources import SourceSpec, load_people, load_sources
from include.steps.expire_history import Pin, list_pins
from include.steps.find_person import ERASING, FoundPerson, find_person, find_rows, mark_rows
from include.steps.find_tables import find_tables, find_unnamed
from include.tables import training_sets_folder

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.tables import TableSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Erasure:
    """What was removed, and what still holds the person.

    Attributes
    ----------
    person_id : str
    rows : dict of str to int
        Rows removed, by table; only tables that held some.
    online : dict of str to int
        Entities removed from the online store, by feature view.
    pins : list of Pin
        Training sets that hold the person, or pin a version of a table that does.
    unpinned_until : date
        Replaced rows that nothing pins are in the tables' old files until this day, and are removed by the
        next ``mlops lake expire`` from then on.
    unnamed : list of str
        Tables in the lake that no spec names: nothing was removed from them.
    """

    person_id: str
    rows: dict[str, int]
    online: dict[str, int]
    pins: list[Pin] = field(default_factory=list)
    unpinned_until: date = date.max
    unnamed: list[str] = field(default_factory=list)


def forget_person(deployment: Deployment, person_id: str, *, source: SourceSpec, today: date) -> Erasure:
    """Remove every row of a person; again removes nothing, or what a run that stopped has left.

    Aggregates over many people stay as they are until a correction has one of their days
    built anew. Deliveries in the landing folder are the sender's and are not touched: taken again, they bring
    the person back.

    Parameters
    ----------
    deployment : Deployment
        Its lake, online store and state are written.
    person_id : str
        As the source's tables name the person.
    source : SourceSpec
        One that names people.
    today : date
        From which the retention of replaced rows counts.

    Raises
    ------
    UsageError
        If the source names nobody, or no table and no online view has ever held the person.
    """
    if source.people.person is None:
        raise UsageError(f"{source.source} names nobody (people.person): there is nobody to erase from it")
    with deployment.state.alone(ERASING):
        person = find_person(deployment.lake, source, person_id)
        pins = _pins_of(deployment, person)
        online = _erase_online(deployment, person)
        # Scores that wait for their commit would bring the person back; their nights are planned again.
        for spec in load_models():
            remove_plans(deployment.lake, spec.model_id)
        # The sources say what else is the person's: they go when the rest is gone, or an erasure that stopped half-way
        # could not be completed.
        names = {spec.raw.name for spec in load_sources()}
        tables = sorted(find_tables(deployment.lake), key=lambda table: table.name in names)
        rows = Counter({table.name: _erase_rows(deployment, table, person) for table in tables})
    found, gone = dict(+rows), dict(online)
    if not found and not gone and not pins:
        raise UsageError(
            f"{source.people.person} {person_id!r} is in no table of {deployment.lake.uri} and not online; ids are "
            "strings, compared exactly, e.g. 17850"
        )
    log.info("forget rows=%d tables=%d online=%d pins=%d", sum(found.values()), len(found), len(gone), len(pins))
    until = today + timedelta(days=deployment.settings.retention_days)
    return Erasure(person_id, found, gone, pins, until, find_unnamed(deployment.lake))


def _erase_online(deployment: Deployment, person: FoundPerson) -> Counter[str]:
    online: Counter[str] = Counter()
    keys = {key for spec in load_feature_groups() for key in spec.entity.keys}
    for column, values in person.ids.items():
        for value in sorted(values) if column in keys else ():
            online.update(deployment.feature_store.forget(column, value))
    return +online


def _erase_rows(deployment: Deployment, table: TableSpec, person: FoundPerson) -> int:
    before = deployment.lake.version(table.name)
    found = find_rows(person, deployment.lake.dataset(table.name), table)
    if not found:
        return 0

    def of_others(present: pa.Table | None) -> pa.Table:
        if present is None:
            raise MlopsError(f"{table.name} was removed while somebody was being erased; run the command again")
        return present.filter(pc.invert(mark_rows(person, present, table.whose)))

    keys = sorted(set(found))
    after = deployment.lake.update(table.name, keys, of_others, partition_by=table.partition_by).version
    # Nobody has to be built again for this: what others' features say stays true.
    if before is not None and after == before + 1:
        for spec in load_feature_groups():
            _confirm(deployment, spec, table.name, before, after)
    return len(found)


def _confirm(deployment: Deployment, spec: FeatureGroupSpec, source: str, before: int, after: int) -> None:
    if source in spec.read_tables:
        built_from = deployment.state.source_versions(spec.table)
        agreeing = {key: known for key, known in built_from.items() if known and known.get(source) == before}
        deployment.state.confirm_sources(spec.table, agreeing, {source: after})


def _pins_of(deployment: Deployment, person: FoundPerson) -> list[Pin]:
    return [pin for pin in list_pins(deployment) if _is_held(deployment, pin, person)]


def _is_held(deployment: Deployment, pin: Pin, person: FoundPerson) -> bool:
    manifest, examples = read_training_set(deployment.lake, pin.model_id, pin.set_id)
    folder = training_sets_folder(pin.model_id, load_people().find(manifest.entity_keys))
    if pc.any(mark_rows(person, examples, folder.whose)).as_py():
        return True
    known = {table.name: table for table in list_tables()}
    for name, version in pin.sources.items():
        # Of a table that no spec names any more nobody knows whose data it holds: it may be the person's.
        if name not in known or find_rows(person, deployment.lake.dataset(name, version=version), known[name]):
            return True
    return False
