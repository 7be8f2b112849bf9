"""What `make test` leaves to `make test-all` is more of what it holds, never all that there is of a subject."""

from __future__ import annotations

import ast
from pathlib import Path

from include.settings import PROJECT_ROOT

# Wholly thorough, and what holds the same every day.
ELSEWHERE: dict[str, str] = {
    "tests/integration/test_story_on_seeds.py": "tests/unit/monitoring/test_decision.py",
    "tests/contracts/test_first_writers.py": "tests/contracts/test_lake.py",
}


def is_wholly_thorough(path: Path) -> bool:
    """Say whether a module's own ``pytestmark`` marks all of it."""
    assigned = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign))
    marks = (node.value for node in assigned if ast.unparse(node.targets[0]) == "pytestmark")
    return any("thorough" in ast.unparse(mark) for mark in marks)


def test_a_file_that_is_thorough_as_a_whole_says_what_holds_its_claim_every_day():
    tests = sorted((PROJECT_ROOT / "tests").rglob("test_*.py"))
    thorough = {str(path.relative_to(PROJECT_ROOT)) for path in tests if is_wholly_thorough(path)}
    assert thorough == ELSEWHERE.keys()
    assert all((PROJECT_ROOT / held).exists() for held in ELSEWHERE.values())
