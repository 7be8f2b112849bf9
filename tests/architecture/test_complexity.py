"""No function branches more often than ruff allows, with what ruff leaves out of its count."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator

import pytest

from docs.rooms import find_modules
from include.settings import PROJECT_ROOT

BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.match_case)


def count_paths(function: ast.AST) -> int:
    """Return 1 and one for each branch: loops and conditions of comprehensions, ``and``, ``or`` and ``if … else`` too.

    A lambda's are those of the function around it; a function inside is counted for itself.
    """
    return 1 + sum(map(branches_of, nodes_of(function)))


def nodes_of(function: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from nodes_of(child)


def branches_of(node: ast.AST) -> int:
    match node:
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.BoolOp():
            return len(node.values) - 1
    return int(isinstance(node, BRANCHES))


def functions_of(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ("return 1", 1),
        ("if a:\n  return 1\n elif b:\n  return 2", 3),
        ("for x in a:\n  while b:\n   pass", 3),
        ("return [x for x in a]", 2),
        ("return {x: y for x in a if x for y in b if y if x}", 6),
        ("return a and b and (c or d)", 4),
        ("return 1 if a else 2 if b else 3", 3),
        ("return sorted(a, key=lambda x: 1 if x else 2)", 2),
        ("try:\n  pass\n except A:\n  pass\n except B:\n  pass", 3),
        ("match a:\n  case 1:\n   pass\n  case _:\n   pass", 3),
        ("def g():\n  return a or b\n return 1", 1),
    ],
    ids=[
        "straight",
        "branches",
        "loops",
        "comprehension",
        "nested",
        "and_or",
        "conditional",
        "lambda",
        "except",
        "match",
        "inner_function",
    ],
)
def test_paths_are_counted_as_by_hand(body, paths):
    assert count_paths(next(functions_of(f"def f():\n {body}\n"))) == paths


def test_no_function_has_more_paths_than_ruff_allows():
    settings = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())
    limit = settings["tool"]["ruff"]["lint"]["mccabe"]["max-complexity"]
    files = [*find_modules(PROJECT_ROOT).values(), *(PROJECT_ROOT / "docs").glob("*.py")]
    counted = {
        f"{path.relative_to(PROJECT_ROOT)}:{function.lineno} {function.name}": count_paths(function)
        for path in files
        for function in functions_of(path.read_text())
    }
    assert len(counted) > 500
    assert {name: paths for name, paths in counted.items() if paths > limit} == {}
