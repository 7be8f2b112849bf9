"""Files that appear whole or not at all: in the place of an earlier one, or only where there is none.

What belongs here: those two ways to write on disk and on S3. What does not: what the files hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pyarrow.fs as fs

# S3 answers 409 to the loser of two puts at once, 412 to who comes later.
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


def put(filesystem: fs.FileSystem, path: str, content: bytes) -> None:
    """Write a file, in the place of an earlier one.

    Raises
    ------
    OSError
        If it can't be written; what was there is there still.
    """
    if isinstance(filesystem, fs.LocalFileSystem):
        with _written_beside(Path(path), content) as whole:
            whole.replace(path)
        return
    with filesystem.open_output_stream(path) as stream:
        stream.write(content)


def put_once(filesystem: fs.FileSystem, path: str, content: bytes, *, s3_endpoint_url: str | None) -> bool:
    """Write a file where there is none; of any number of writers one does.

    Parameters
    ----------
    s3_endpoint_url : str or None
        Endpoint of an S3 server that isn't Amazon's.

    Returns
    -------
    bool
        Whether this content is the file's now; False where there is another.

    Raises
    ------
    OSError
        If it can't be written.
    """
    if isinstance(filesystem, fs.LocalFileSystem):
        with _written_beside(Path(path), content) as whole:
            try:
                os.link(whole, path)
            except FileExistsError:
                return False
        return True
    if _put_on_s3(path, content, s3_endpoint_url):
        return True
    # A client that got no answer asks again, and meets what it has written itself.
    with filesystem.open_input_stream(path) as stream:
        return bool(stream.read() == content)


@contextmanager
def _written_beside(path: Path, content: bytes) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield unfinished
    finally:
        unfinished.unlink(missing_ok=True)


def _put_on_s3(path: str, content: bytes, endpoint_url: str | None) -> bool:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

    bucket, _, key = path.partition("/")
    try:
        client = boto3.client("s3", endpoint_url=endpoint_url)
        client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
    except ClientError as err:
        if err.response.get("Error", {}).get("Code") in _TAKEN:
            return False
        raise OSError(f"s3://{path} can't be written: {err}") from err
    except BotoCoreError as err:
        raise OSError(f"s3://{path} can't be written: {err}") from err
    return True
