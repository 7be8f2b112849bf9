"""Where the real data sets are, for the tests that compare with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def require(reason: str) -> None:
    """Skip for `reason` on a laptop; fail under ``MLOPS_REQUIRE=all``."""
    if os.environ.get("MLOPS_REQUIRE") == "all":
        pytest.fail(f"MLOPS_REQUIRE=all, but {reason}")
    pytest.skip(reason)


def real_data(name: str) -> Path:
    """Return the path of a file or folder of the real data sets."""
    root = os.environ.get("MLOPS_REAL_DATA")
    if not root:
        require("MLOPS_REAL_DATA does not name the folder of real data sets")
    path = Path(root or "") / name
    if not path.exists():
        require(f"{path} does not exist")
    return path
