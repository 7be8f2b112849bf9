"""The runs of sources whose day is not the UTC day: each day has one, which waits until the day is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import yaml

from include import partitions
from include.settings import PROJECT_ROOT
from include.specs.sources import load_source
from include.specs.yaml_files import CONFIG_ROOT

# Of Beirut and Havana the clock leaves out a midnight, of the others two and three in the morning.
CLOCKS = {
    "utc": ("UTC", "00:00"),
    "new_york": ("America/New_York", "00:00"),
    "bar": ("America/New_York", "04:00"),
    "in_the_gap": ("America/New_York", "02:30"),
    "berlin": ("Europe/Berlin", "00:00"),
    "beirut": ("Asia/Beirut", "00:00"),
    "havana": ("America/Havana", "00:30"),
    "baker_island": ("Etc/GMT+12", "23:59"),
    "kiritimati": ("Pacific/Kiritimati", "00:00"),
}


@pytest.fixture(scope="module")
def dags(tmp_path_factory, home):
    """Return the DAGs of a deployment that has a source by each of these clocks, by source."""
    folder = tmp_path_factory.mktemp("specs")
    (folder / "sources").mkdir()
    orders = yaml.safe_load((CONFIG_ROOT / "sources" / "orders.yaml").read_text())
    del orders["dag_id"]
    for name, (time_zone, day_starts) in CLOCKS.items():
        spec = {**orders, "source": name, "time_zone": time_zone, "day_starts": day_starts}
        (folder / "sources" / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(folder))
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(dag_folder=str(PROJECT_ROOT / "dags" / "ingest_source.py"))
        assert not bag.import_errors
        yield {name: (load_source(name), bag.dags[f"ingest__{name}"]) for name in CLOCKS}


def scheduled(dag: Any) -> Any:
    """Return the timetable as the scheduler has it."""
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    return decode_timetable(encode_timetable(dag.timetable))


def runs(timetable: Any, first: str, last: str) -> Iterator[Any]:
    from airflow.timetables.base import TimeRestriction

    restriction = TimeRestriction(earliest=partitions.end_of(first), latest=partitions.end_of(last), catchup=True)
    info = None
    while info := timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction):
        yield info


@pytest.mark.parametrize("name", CLOCKS)
def test_each_day_of_a_year_has_one_run_that_waits_until_it_is_over(dags, name):
    spec, dag = dags[name]
    found = list(runs(scheduled(dag), "2026-01-01", "2026-12-31"))
    assert [info.partition_key for info in found] == partitions.span("2026-01-01", "2026-12-31")
    patience = timedelta(seconds=dag.task_dict["wait_for_delivery"].timeout)
    spare = [info.run_after + patience - spec.end_of_day(info.partition_key) for info in found]
    assert min(spare) >= timedelta(hours=6)
    assert patience + timedelta(hours=6) <= dag.dagrun_timeout


@pytest.mark.parametrize("name", CLOCKS)
def test_a_backfill_has_one_run_for_each_day_that_is_asked_for(dags, name):
    timetable = scheduled(dags[name][1])
    for first, last in (("2026-03-06", "2026-03-30"), ("2026-10-20", "2026-11-03")):
        asked = {"earliest": partitions.start_of(first), "latest": partitions.start_of(last)}
        found = [info.partition_key for info in timetable.iter_partition_dagrun_infos(**asked)]
        assert found == partitions.span(first, last)


def test_a_source_by_utc_waits_as_long_as_ever(dags):
    assert dags["utc"][1].task_dict["wait_for_delivery"].timeout == 6 * 3600
    assert dags["utc"][1].dagrun_timeout == timedelta(hours=12)
