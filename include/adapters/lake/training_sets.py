"""Training sets as folders of the lake: ``examples.parquet``, and last ``manifest.json``.

What belongs here: writing a set once and reading it back, checked. What does not: its rows and fields.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq

from include.adapters.arrow_files import open_location
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.lake.row_digest import digest
from include.adapters.whole_files import put, put_once
from include.errors import MlopsError, one_line
from include.tables import training_sets_name
from include.training.manifest import TrainingSetManifest

_EXAMPLES = "examples.parquet"
_MANIFEST = "manifest.json"


def read_manifest(lake: LakeAdapter, model_id: str, set_id: str) -> TrainingSetManifest | None:
    """Return a set's manifest; None where the set isn't there or was never finished."""
    filesystem, folder = _folder(lake, model_id, set_id)
    try:
        with filesystem.open_input_stream(f"{folder}/{_MANIFEST}") as file:
            return TrainingSetManifest.from_json(file.read().decode())
    except FileNotFoundError:
        return None
    except OSError as err:
        raise _unreachable(lake, model_id, set_id, err) from err


def list_training_sets(lake: LakeAdapter, model_id: str) -> list[TrainingSetManifest]:
    """Return the manifests of a model's finished training sets, by id."""
    filesystem, root = _folder(lake, model_id, "")
    entries = filesystem.get_file_info(fs.FileSelector(root.rstrip("/"), allow_not_found=True))
    sets = sorted(entry.base_name for entry in entries if entry.type == fs.FileType.Directory)
    manifests = (read_manifest(lake, model_id, name) for name in sets)
    return [manifest for manifest in manifests if manifest is not None]


def remove_training_set(lake: LakeAdapter, model_id: str, set_id: str) -> None:
    """Remove a set; the manifest goes first, so that a half removed set does not count."""
    filesystem, folder = _folder(lake, model_id, set_id)
    filesystem.delete_file(f"{folder}/{_MANIFEST}")
    filesystem.delete_dir(folder)


def write_training_set(lake: LakeAdapter, manifest: TrainingSetManifest, examples: pa.Table) -> bool:
    """Write a set and say whether this call did; without its manifest, which comes last, it does not count.

    Of several writers of a set, who have the same rows by its id, one gives it its manifest.
    """
    filesystem, folder = _folder(lake, manifest.model_id, manifest.set_id)
    content = pa.BufferOutputStream()
    pq.write_table(examples, content)
    try:
        put(filesystem, f"{folder}/{_EXAMPLES}", content.getvalue())
        told = manifest.to_json().encode()
        return put_once(filesystem, f"{folder}/{_MANIFEST}", told, s3_endpoint_url=lake.s3_endpoint_url)
    except OSError as err:
        raise _unreachable(lake, manifest.model_id, manifest.set_id, err) from err


def read_training_set(lake: LakeAdapter, model_id: str, set_id: str) -> tuple[TrainingSetManifest, pa.Table]:
    """Return a set's manifest and its examples, as they were written.

    Raises
    ------
    MlopsError
        If the set isn't there, or its rows are not those of the manifest.
    """
    manifest = read_manifest(lake, model_id, set_id)
    if manifest is None:
        raise MlopsError(
            f"there is no training set {set_id} of {model_id} at {lake.uri}; build it: "
            f"mlops training-set build --model {model_id} --as-of {set_id[:10]}"
        )
    filesystem, folder = _folder(lake, model_id, set_id)
    try:
        examples = pq.read_table(f"{folder}/{_EXAMPLES}", filesystem=filesystem)
    except FileNotFoundError as err:
        raise MlopsError(
            f"training set {set_id} of {model_id} has no {_EXAMPLES} any more; remove {folder} and build the set again"
        ) from err
    except (OSError, pa.ArrowException) as err:
        raise MlopsError(
            f"training set {set_id} of {model_id} can't be read ({one_line(err)}); where its storage is reachable, "
            f"{_EXAMPLES} is damaged: remove {folder} and build the set again"
        ) from err
    if (found := digest(examples)) != manifest.rows_sha256:
        raise MlopsError(
            f"training set {set_id} of {model_id}: its rows have sha256 {found}, the manifest says "
            f"{manifest.rows_sha256}; somebody changed it: remove {folder} and build the set again"
        )
    return manifest, examples


def _folder(lake: LakeAdapter, model_id: str, set_id: str) -> tuple[fs.FileSystem, str]:
    uri = lake.table_uri(f"{training_sets_name(model_id)}/{set_id}")
    return open_location(uri, lake.s3_endpoint_url)


def _unreachable(lake: LakeAdapter, model_id: str, set_id: str, err: Exception) -> MlopsError:
    return MlopsError(
        f"training set {set_id} of {model_id} at {lake.uri} can't be used: {one_line(err)}; check MLOPS_LAKE_URI, and "
        "that there is room and this user may write"
    )
