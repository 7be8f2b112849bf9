"""What may be used in one place only, read off the source: a second place would be a second answer."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from docs.rooms import find_modules
from include.settings import PROJECT_ROOT

MODULES = find_modules(PROJECT_ROOT)


@cache
def names_used(path: Path) -> set[str]:
    """Return the dotted names that a module uses, by the names of the libraries and not by its own for them."""
    tree = ast.parse(path.read_text())
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    chains = [_dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)]
    heads = [(known.get(head, head), dot, rest) for head, dot, rest in (chain.partition(".") for chain in chains)]
    return {"".join(parts) for parts in heads}


def _dotted(node: ast.AST) -> str:
    """Return the names of a chain, without what is no name: one that goes on from a call has no head."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(
    "text",
    [
        "import duckdb\nduckdb.connect()",
        "def f():\n    import duckdb as d\n    return d.connect",
        "from duckdb import connect as c\nc()",
    ],
)
def test_a_name_is_found_however_it_is_imported(tmp_path, text):
    (tmp_path / "a.py").write_text(text)
    assert "duckdb.connect" in names_used(tmp_path / "a.py")


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (
            ("pyarrow.types.is_string", "pyarrow.types.is_large_string", "pyarrow.types.is_string_view"),
            {"include.column_types"},
        ),
        (("duckdb.connect",), {"include.adapters.compute.duckdb_session"}),
        (("pyarrow.csv.read_csv", "pyarrow.csv.open_csv", "csv.reader"), {"include.adapters.files.records"}),
        (
            ("pyarrow.parquet.ParquetFile", "pyarrow.parquet.read_table", "pyarrow.parquet.read_schema"),
            # Whole, and in parts that fit into memory.
            {
                "include.adapters.files.whole",
                "include.adapters.files.parts",
                "include.adapters.files.int96",
                "include.adapters.lake.training_sets",
                "include.adapters.lake.file_batches",
            },
        ),
    ],
    ids=["text", "DuckDB", "CSV", "parquet"],
)
def test_there_is_one_place_for(names, places):
    assert {module for module, path in MODULES.items() if not names_used(path).isdisjoint(names)} == places


def test_a_command_opens_its_deployment_where_its_server_is_started():
    """The demo starts its own."""
    commands = {module: path for module, path in MODULES.items() if module.startswith("include.cli.")}
    making = {m for m, path in commands.items() if "include.adapters.deployment.Deployment" in names_used(path)}
    assert making == {"include.cli.deployment", "include.cli.demo"}
