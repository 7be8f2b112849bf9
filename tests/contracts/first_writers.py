"""A process that writes files into tables of a lake, at a word, as one of several first writers.

Arguments: the lake's root, its S3 endpoint or "", the writer's number. Each line of its input has the suffix that
tables have in this round, and their names; it answers each with a line.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, date, datetime

import pyarrow as pa

from include.adapters.lake.delta_lake import LakeAdapter
from include.settings import Settings
from include.specs.lake_tables import list_tables
from include.tables import TableSpec

FILES = 4
_DAYS = (date(2026, 1, 1), date(2026, 1, 2))


def file_rows(spec: TableSpec, writer: int, file: int) -> pa.Table:
    """Return the row that a file has for a table: of one of two partitions, known by its key."""
    number = FILES * writer + file
    values = {
        "string": f"{number:03d}",
        "int32": number,
        "int64": number,
        "float32": float(number),
        "float64": float(number),
        "bool": True,
        "date": _DAYS[file % 2],
        "instant": datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC),
    }
    row = {name: values[word] for name, word in spec.schema.items()}
    if spec.schema[spec.partition_by] == "string":
        row[spec.partition_by] = f"a file's name, 100% {file % 2}.csv"
    return pa.Table.from_pylist([row], schema=spec.arrow_schema())


def main() -> None:
    """Write what each line of the input asks for."""
    uri, endpoint, writer = sys.argv[1], sys.argv[2] or None, int(sys.argv[3])
    lake = LakeAdapter.from_settings(replace(Settings.from_env(), lake_uri=uri, s3_endpoint_url=endpoint))
    known = {spec.name: spec for spec in list_tables()}
    print("ready", flush=True)
    for line in sys.stdin:
        suffix, *names = line.split()
        for spec in map(known.__getitem__, names):
            for file in range(FILES):
                mine = file_rows(spec, writer, file)
                key = str(mine[spec.partition_by][0])
                lake.update(
                    f"{spec.name}{suffix}",
                    [key],
                    lambda present, mine=mine: mine if present is None else pa.concat_tables([present, mine]),
                    partition_by=spec.partition_by,
                )
        print("done", flush=True)


if __name__ == "__main__":
    main()
