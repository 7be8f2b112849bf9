"""The rooms of the code, the order they stand in, and who imports whom: read off the source.

What belongs here: the order as data, and pure readings of a source tree. What does not: how a document shows them
(``docs.write``), and the verdict on them (``tests/architecture``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal

# From the ground up: a module imports from its own layer and from those before it. One line for each new room of
# `include`; a room inside one of these needs none.
LAYERS: dict[str, tuple[str, ...]] = {
    "ground": (
        "include.errors",
        "include.home",
        "include.settings",
        "include.partitions",
        "include.tables",
        "include.words",
    ),
    "values": ("include.specs", "include.refs"),
    "declarations": ("feature_repo",),
    "pure": (
        "include.column_types",
        "include.features",
        "include.quality",
        "include.question",
        "include.training",
        "include.scoring",
        "include.monitoring",
        "include.governance",
        "include.simulation",
    ),
    "adapters": ("include.adapters",),
    "steps": ("include.steps",),
    "views": ("include.views",),
    "service": ("include.serving",),
    "commands": ("include.embedded", "include.demo", "include.cli"),
    "plugins": ("mlops", "mlops_plugin"),
    "dags": ("dags",),
}
# Folder → the folder that its modules' names start from.
FOLDERS: Mapping[str, str] = {"include": ".", "feature_repo": ".", "plugins": "plugins", "dags": "."}

When = Literal["load", "call", "types"]


@dataclass(frozen=True, order=True)
class Import:
    """One import by a module of the tree.

    Parameters
    ----------
    importer : str
        A module's dotted name.
    imported : str
        Dotted name of a module, or of what is taken from it; ours or a library's.
    when : {"load", "call", "types"}
        Where the module is loaded, where a function is called, or for a type checker only.
    """

    importer: str
    imported: str
    when: When


def find_modules(root: Path) -> dict[str, Path]:
    """Return the modules below a root, by name; a package stands for its ``__init__.py``."""
    found = {}
    for folder, base in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / base).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def read_imports(modules: Mapping[str, Path]) -> list[Import]:
    """Return every import, wherever in its file it stands, once per module and time, in order."""
    found = {
        Import(importer, imported, when)
        for importer, path in modules.items()
        for imported, when in _imported_names(ast.parse(path.read_text()), "load")
    }
    return sorted(found)


def keep_ours(imports: Iterable[Import], modules: Mapping[str, Path]) -> list[Import]:
    """Return the imports of one module of the tree by another, with the names of modules only."""
    between = {replace(each, imported=_nearest_module(each.imported, modules)) for each in imports}
    return sorted(each for each in between if each.imported not in ("", each.importer))


def is_in(name: str, package: str) -> bool:
    """Say whether a dotted name is a package's own or lies in it."""
    return name == package or name.startswith(f"{package}.")


def find_layer(module: str) -> str | None:
    """Return the layer that a module stands in, or None where no layer names it."""
    return next((layer for layer, rooms in LAYERS.items() if any(is_in(module, room) for room in rooms)), None)


def find_rooms(modules: Mapping[str, Path]) -> dict[str, str]:
    """Return the room of each module: the innermost package around it, or the folder where there is none.

    In a package of packages each module is a room by itself, and the package's own docstring in none.
    """
    packages = {name for name, path in modules.items() if path.name == "__init__.py"}
    houses = {house for house in packages if any(is_in(room, house) for room in packages - {house})}

    def find_room(module: str) -> str:
        around = [package for package in packages if is_in(module, package)]
        innermost = max(around, key=len, default=module.partition(".")[0])
        return module if innermost in houses else innermost

    return {module: find_room(module) for module in modules if module not in houses}


def join_rooms(imports: Iterable[Import], room_of: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which rooms each room imports from; rooms that import from none are there too."""
    arrows: dict[str, set[str]] = {room: set() for room in room_of.values()}
    for each in imports:
        if each.importer in room_of and each.imported in room_of:
            arrows[room_of[each.importer]].add(room_of[each.imported])
    return {room: imported - {room} for room, imported in arrows.items()}


def find_upward(imports: Iterable[Import]) -> list[Import]:
    """Return the imports that run from a layer to one above it."""
    order = list(LAYERS)

    def height(module: str) -> int:
        layer = find_layer(module)
        return order.index(layer) if layer is not None else -1

    return [each for each in imports if height(each.importer) < height(each.imported)]


def find_circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """Return one circle, from a name along the arrows back to it; empty where there is none.

    Examples
    --------
    >>> find_circle({"a": ["b"], "b": ["c"], "c": ["b"]})
    ['b', 'c', 'b']
    >>> find_circle({"a": ["b", "c"], "b": ["c"]})
    []
    """
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as err:
        circle: list[str] = err.args[1]
        return circle[::-1]
    return []


def drop_implied(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the arrows without those that others imply: what a person can still read.

    Examples
    --------
    >>> drop_implied({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    {'a': {'b'}, 'b': {'c'}, 'c': set()}
    """
    reached: dict[str, set[str]] = {}
    for name in TopologicalSorter(arrows).static_order():
        nexts = arrows.get(name, set())
        reached[name] = nexts.union(*(reached[each] for each in nexts))
    return {name: nexts - set().union(*(reached[each] for each in nexts)) for name, nexts in arrows.items()}


def _imported_names(node: ast.AST, when: When) -> Iterator[tuple[str, When]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, when) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from ((f"{child.module}.{alias.name}", when) for alias in child.names)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imported_names(child, "call")
        elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _imported_names(ast.Module(child.body, []), "types")
            yield from _imported_names(ast.Module(child.orelse, []), when)
        else:
            yield from _imported_names(child, when)


def _nearest_module(name: str, modules: Mapping[str, Path]) -> str:
    """Return the module that a dotted name lies in: the name may be a function's."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name
