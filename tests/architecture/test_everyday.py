"""What `make test` leaves to `make test-all` is more of what it holds, never all that there is of a subject."""

from __future__ import annotations

import ast
from pathlib import Path

from include.settings import PROJECT_ROOT


def is_wholly_thorough(path: Path) -> bool:
    """Say whether a module's own ``pytestmark`` marks all of it."""
    assigned = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign))
    marks = (node.value for node in assigned if ast.unparse(node.targets[0]) == "pytestmark")
    return any("thorough" in ast.unparse(mark) for mark in marks)


def test_no_file_is_thorough_as_a_whole():
    tests = sorted((PROJECT_ROOT / "tests").rglob("test_*.py"))
    assert tests
    assert [str(path.relative_to(PROJECT_ROOT)) for path in tests if is_wholly_thorough(path)] == []
