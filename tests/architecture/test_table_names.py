"""A name of a lake table stands in ``include/tables.py`` and in no other module: read off the source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.settings import PROJECT_ROOT
from include.specs.lake_tables import list_folders, list_tables
from tests.architecture.strings import literals

ROOTS = sorted({entry.name.partition("/")[0] for entry in (*list_tables(), *list_folders())})
NAME = re.compile(rf"(?:(?<![\w./])|(?<=://)|(?<=lake/))(?:{'|'.join(ROOTS)})/(?:$|[\w{{<])")


def names_in(source: str) -> Iterator[str]:
    """Yield the strings that name a table, of all that are no docstring."""
    for _, text in literals(source):
        yield from (text for _ in NAME.finditer(text))


def modules() -> list[Path]:
    found = [path for folder in ("include", "plugins") for path in sorted((PROJECT_ROOT / folder).rglob("*.py"))]
    assert found
    # A migration tells of tables by the names that they had then, whatever they are called now.
    return [path for path in found if path != PROJECT_ROOT / "include" / "tables.py" and "migrations" not in path.parts]


def test_no_other_module_names_a_table():
    named = [f"{path.relative_to(PROJECT_ROOT)}: {name}" for path in modules() for name in names_in(path.read_text())]
    assert named == []


@pytest.mark.parametrize(
    "source",
    [
        'x = "raw/orders"',
        'x = f"features/{group}"',
        'f(x=f"see predictions/{m} of today")',
        '["online_vectors/churn"]',
        'x = "mlops://lake/raw/orders"',
        'x = f"mlops://predictions/{m}"',
    ],
)
def test_a_name_is_found_however_it_is_written(source):
    assert list(names_in(source))


@pytest.mark.parametrize(
    "source", ['"""Of raw/orders."""', 'x = "features"', 'x = "a/features/b"', "x = a.features / b"]
)
def test_a_docstring_or_another_path_is_no_name(source):
    assert list(names_in(source)) == []
