"""The strings of a module that are values: what the tests of names look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module that are no docstring, with their lines."""
    tree = ast.parse(source)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value
