"""Reports of feature partitions, one JSON file for each build by its last partition, beside the lake's tables.

What belongs here: where a report is, and writing, reading and removing it. What does not: its content.
"""

from __future__ import annotations

import pyarrow.fs as fs

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.whole_files import put
from include.errors import MlopsError, UsageError, one_line
from include.features.partition_report import PartitionReport
from include.tables import quality_reports_name

_JSON = ".json"


def write_report(lake: LakeAdapter, report: PartitionReport) -> str:
    """Keep a report in place of an earlier one of the same last partition and return its address."""
    filesystem, path = _location(lake, report.group, report.end)
    try:
        put(filesystem, path, report.to_json().encode())
    except OSError as err:
        raise MlopsError(
            f"the quality report of {report.group} {report.end} can't be written to the lake at {lake.uri}: "
            f"{one_line(err)}; check MLOPS_LAKE_URI, and that there is room and this user may write; then build again"
        ) from err
    return f"{lake.uri}/{_name(report.group, report.end)}"


def read_report(lake: LakeAdapter, group: str, end: str) -> PartitionReport:
    """Return the report of the last build that ended with a partition.

    Raises
    ------
    UsageError
        If there is none.
    MlopsError
        If it can't be read, or is not what was written.
    """
    filesystem, path = _location(lake, group, end)
    again = f"a build that ends with this day makes it (mlops features build --group {group} --date {end})"
    try:
        with filesystem.open_input_stream(path) as stream:
            return PartitionReport.from_json(stream.read().decode())
    except FileNotFoundError as err:
        raise UsageError(f"there is no quality report of {group} {end}; {again}") from err
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise MlopsError(
            f"the quality report of {group} {end} in the lake at {lake.uri} can't be read: {one_line(err)}; check "
            f"MLOPS_LAKE_URI, and that this user may read there; {again} anew"
        ) from err


def list_reports(lake: LakeAdapter, group: str) -> list[str]:
    """Return the days that a group's reports are of, in order."""
    filesystem, path = _location(lake, group, "")
    folder = fs.FileSelector(path.rpartition("/")[0], allow_not_found=True)
    names = (entry.base_name for entry in filesystem.get_file_info(folder))
    return sorted(name.removesuffix(_JSON) for name in names if name.endswith(_JSON))


def remove_report(lake: LakeAdapter, group: str, end: str) -> None:
    """Remove the report of the build that ended with a partition."""
    filesystem, path = _location(lake, group, end)
    filesystem.delete_file(path)


def _name(group: str, end: str) -> str:
    return f"{quality_reports_name(group)}/{end}{_JSON}"


def _location(lake: LakeAdapter, group: str, end: str) -> tuple[fs.FileSystem, str]:
    filesystem, root = open_location(lake.uri, lake.s3_endpoint_url)
    return filesystem, f"{root}/{_name(group, end)}"
