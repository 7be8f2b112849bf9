"""Scores of a night that wait for its commit: a folder for each plan, in it the plan and a file of each chunk.

What belongs here: where they are, what a file holds, that it is whole, and removing them. What does not: what a plan
says, scoring, and the commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as fs

from include.adapters.arrow_files import open_location
from include.adapters.whole_files import put
from include.errors import AlteredError, MlopsError, RefusedError, one_line
from include.scoring.chunk_plan import ChunkPlan
from include.scoring.manifest import NightAccount
from include.tables import STAGED_SCORES, staged_scores_name

if TYPE_CHECKING:
    from include.adapters.lake.delta_lake import LakeAdapter
    from include.adapters.lake.role_rows import Piece

_PLAN, _ROLE, _ACCOUNT = "plan.json", b"role", b"account"


def write_plan(lake: LakeAdapter, plan: ChunkPlan) -> None:
    """Keep a plan: from now on its chunks may be scored."""
    _put(lake, plan, _PLAN, plan.to_json().encode())


def read_plan(lake: LakeAdapter, model_id: str, partition: str, plan_id: str) -> ChunkPlan:
    """Return a plan that stands.

    Raises
    ------
    RefusedError
        If it does not: another one took its place, or it was removed.
    AlteredError
        If it is not the plan of that name.
    """
    filesystem, root = _location(lake, model_id)
    path = f"{root}/{_folder(partition, plan_id)}/{_PLAN}"
    try:
        with filesystem.open_input_stream(path) as stream:
            plan = ChunkPlan.from_json(stream.read().decode())
    except FileNotFoundError as err:
        raise RefusedError(
            f"plan {plan_id} of the chunks of {model_id} {partition} does not stand any more: another run planned this "
            "night since, a person was erased, or it was committed or given up and removed; clear the task `plan` of "
            "the newest run of the night, with all that follow it"
        ) from err
    if plan.plan_id != plan_id:
        raise AlteredError(f"{path} in the lake at {lake.uri} is not plan {plan_id}; clear the task `plan`")
    return plan


def write_chunk(
    lake: LakeAdapter,
    plan: ChunkPlan,
    number: int,
    *,
    schema: pa.Schema,
    pieces: Iterable[Piece],
    accounts: Callable[[], Mapping[str, NightAccount]],
) -> str:
    """Write the scores of a chunk, in the place of an earlier file of it, and return the file's sha256.

    Nothing is left of it where the plan does not stand any more, as whoever removed it has looked.

    Parameters
    ----------
    lake : LakeAdapter
    plan : ChunkPlan
    number : int
        Of the chunk, from 0.
    schema : pyarrow.Schema
        The columns of all pieces.
    pieces : iterable of (str, pyarrow.Table)
        As ``role_rows.replace_roles`` takes them.
    accounts : callable
        Gives, once the pieces are gone through, the account of each role.

    Raises
    ------
    RefusedError
        If the plan does not stand any more.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        for role, rows in pieces:
            for batch in rows.to_batches():
                writer.write_batch(batch, custom_metadata={_ROLE: role})
        for role, account in accounts().items():
            told = {_ROLE: role, _ACCOUNT: json.dumps(asdict(account))}
            writer.write_batch(pa.RecordBatch.from_pylist([], schema), custom_metadata=told)
    content = sink.getvalue()
    _put(lake, plan, _name(number), content)
    try:
        read_plan(lake, plan.model_id, plan.partition, plan.plan_id)
    except RefusedError:
        remove_plan(lake, plan.model_id, plan.partition, plan.plan_id)
        raise
    return hashlib.sha256(content).hexdigest()


def read_chunk(
    lake: LakeAdapter, plan: ChunkPlan, number: int, *, sha256: str
) -> Iterator[tuple[str, NightAccount, pa.Table]]:
    """Yield the scores of a chunk, a piece of one role at a time, and what each piece adds to its role's account.

    Raises
    ------
    AlteredError
        If the file is not there, or not the one of that sha256.
    """
    filesystem, root = _location(lake, plan.model_id)
    path = f"{root}/{_folder(plan.partition, plan.plan_id)}/{_name(number)}"
    try:
        with filesystem.open_input_stream(path) as stream:
            content = stream.read_buffer()
    except FileNotFoundError:
        content = pa.py_buffer(b"")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise AlteredError(
            f"{path} in the lake at {lake.uri} is not what chunk {number} of {plan.model_id} {plan.partition} staged; "
            f"clear the task `score_chunk`, map index {number}, with all that follow it"
        )
    with pa.ipc.open_file(content) as reader:
        for place in range(reader.num_record_batches):
            batch, told = reader.get_batch_with_custom_metadata(place)
            account = NightAccount(**json.loads(told[_ACCOUNT])) if _ACCOUNT in told else NightAccount()
            yield told[_ROLE].decode(), account, pa.Table.from_batches([batch])


def remove_plan(lake: LakeAdapter, model_id: str, partition: str, plan_id: str) -> None:
    """Remove a plan and what its chunks have staged, where it is still there."""
    filesystem, root = _location(lake, model_id)
    _remove(filesystem, f"{root}/{_folder(partition, plan_id)}")


def remove_plans(lake: LakeAdapter, model_id: str, *, partition: str | None = None) -> None:
    """Remove the plans of a model, of one night or of all, with what was staged."""
    filesystem, root = _location(lake, model_id)
    for entry in filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True)):
        if partition is None or entry.base_name.partition(".")[0] == partition:
            _remove(filesystem, entry.path)


def remove_given_up(lake: LakeAdapter, *, before: datetime) -> int:
    """Remove the plans of all models, whoever they are, to which nobody wrote since; return how many those are."""
    filesystem, root = open_location(lake.table_uri(STAGED_SCORES), lake.s3_endpoint_url)
    written: dict[str, list[datetime]] = {}
    for entry in filesystem.get_file_info(fs.FileSelector(root, allow_not_found=True, recursive=True)):
        model_id, _, below = entry.path.removeprefix(f"{root}/").partition("/")
        if below:
            # S3 does not say of a folder when it was written to.
            times = written.setdefault(f"{model_id}/{below.partition('/')[0]}", [])
            times += [] if entry.mtime is None else [entry.mtime]
    old = [folder for folder, times in written.items() if max(times, default=before) <= before]
    for folder in old:
        _remove(filesystem, f"{root}/{folder}")
    return len(old)


def _remove(filesystem: fs.FileSystem, folder: str) -> None:
    with suppress(FileNotFoundError):
        filesystem.delete_dir(folder)


def _put(lake: LakeAdapter, plan: ChunkPlan, name: str, content: bytes | pa.Buffer) -> None:
    filesystem, root = _location(lake, plan.model_id)
    try:
        put(filesystem, f"{root}/{_folder(plan.partition, plan.plan_id)}/{name}", content)
    except OSError as err:
        raise MlopsError(
            f"{name} of the staged scores of {plan.model_id} {plan.partition} can't be written to the lake at "
            f"{lake.uri}: {one_line(err)}; check MLOPS_LAKE_URI, and that there is room and this user may write"
        ) from err


def _name(number: int) -> str:
    return f"{number:05}.arrow"


def _folder(partition: str, plan_id: str) -> str:
    return f"{partition}.{plan_id}"


def _location(lake: LakeAdapter, model_id: str) -> tuple[fs.FileSystem, str]:
    return open_location(lake.table_uri(staged_scores_name(model_id)), lake.s3_endpoint_url)
