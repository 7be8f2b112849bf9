"""What made a night's scores, one JSON file for each role and night, beside the lake's tables.

What belongs here: where a manifest is, and writing, reading and removing it. What does not: its content.
"""

from __future__ import annotations

from contextlib import suppress

import pyarrow.fs as fs

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.whole_files import put
from include.errors import MlopsError, one_line
from include.scoring.manifest import ScoringManifest
from include.tables import scoring_manifests_name


def write_manifest(lake: LakeAdapter, manifest: ScoringManifest) -> None:
    """Keep a manifest in place of an earlier one of the same night and role."""
    filesystem, root = _location(lake, manifest.model_id)
    try:
        put(filesystem, f"{root}/{manifest.role}/{manifest.partition}.json", manifest.to_json().encode())
    except OSError as err:
        raise MlopsError(
            f"the manifest of {manifest.model_id} {manifest.partition} can't be written to the lake at {lake.uri}: "
            f"{one_line(err)}; check MLOPS_LAKE_URI, and that there is room and this user may write; then score again"
        ) from err


def read_scoring_manifests(lake: LakeAdapter, model_id: str, partition: str) -> list[ScoringManifest]:
    """Return the manifests of the scores that a night has, one for each role, by role.

    A role of which there is none was not scored, or whoever did was stopped before the end.
    """
    filesystem, root = _location(lake, model_id)
    entries = filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True))
    roles = sorted(entry.base_name for entry in entries if entry.type == fs.FileType.Directory)
    found = []
    for role in roles:
        with suppress(FileNotFoundError), filesystem.open_input_stream(f"{root}/{role}/{partition}.json") as stream:
            found.append(ScoringManifest.from_json(stream.read().decode()))
    return found


def remove_manifest(lake: LakeAdapter, model_id: str, partition: str, role: str) -> None:
    """Remove a manifest, where there is one: its scores are about to be others."""
    filesystem, root = _location(lake, model_id)
    path = f"{root}/{role}/{partition}.json"
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        filesystem.delete_file(path)


def _location(lake: LakeAdapter, model_id: str) -> tuple[fs.FileSystem, str]:
    return open_location(lake.table_uri(scoring_manifests_name(model_id)), lake.s3_endpoint_url)
