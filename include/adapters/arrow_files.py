"""Arrow's file systems: a ``file://`` or ``s3://`` address becomes one, and a path on it.

What belongs here: that one mapping. What does not: what is read or written there.
"""

from __future__ import annotations

import pyarrow.fs as fs

from include.settings import local_path


def open_location(uri: str, s3_endpoint_url: str | None = None) -> tuple[fs.FileSystem, str]:
    """Return the file system of an address and the path on it.

    Parameters
    ----------
    uri : str
        ``file://…`` or ``s3://bucket/…``.
    s3_endpoint_url : str, optional
        Endpoint of an S3 server that isn't Amazon's.
    """
    if uri.startswith("file://"):
        return fs.LocalFileSystem(), str(local_path(uri))
    s3 = fs.S3FileSystem(endpoint_override=s3_endpoint_url) if s3_endpoint_url else fs.S3FileSystem()
    return s3, uri.removeprefix("s3://")
