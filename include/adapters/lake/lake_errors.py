"""Why a lake table can't be used, and what to do.

What belongs here: the sentences. What does not: finding out.
"""

from __future__ import annotations

from include.errors import AlteredError, ExpiredError, MlopsError, one_line


def absent(lake_uri: str, table: str) -> MlopsError:
    """Return the error of a table that is not there."""
    return MlopsError(
        f"there is no lake table {table} at {lake_uri}; nothing has been written to it yet, "
        "or MLOPS_LAKE_URI points elsewhere"
    )


def gone(table: str, version: int, *, newest: int, folder: str) -> MlopsError:
    """Return the error of a version that can't be read any more, or never could; `folder` is the table's address."""
    if newest == version:
        return AlteredError(
            f"lake table {table}: a data file of its newest version, {version}, is not there; bring it back from a "
            f"backup of {folder}, or remove that folder and make the table's days again"
        )
    return ExpiredError(
        f"lake table {table} has no version {version}: it was removed, or never written; the newest is {newest}, "
        "and mlops lake pins lists the older ones that are kept"
    )


def unreachable(lake_uri: str, table: str, err: Exception) -> MlopsError:
    """Return the error of a storage that fails, or of a log in it that can't be read."""
    if "Json error" in str(err):
        return AlteredError(
            f"lake table {table}: a commit of its log, {lake_uri}/{table}/_delta_log, is damaged: {one_line(err)}; "
            "bring that folder back from a backup, or remove the table's folder and make its days again"
        )
    return MlopsError(
        f"the lake at {lake_uri} can't be used for table {table}: {one_line(err)}; check MLOPS_LAKE_URI, and that "
        "there is room and this user may write"
    )
