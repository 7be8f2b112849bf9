"""Write what is generated in the documents: the picture of the rooms, the lake's tables, what the DAGs say, keys.

What belongs here: Markdown made of the source, and where it goes. What does not: what is read off the source
(``docs.rooms``, ``docs.keys``), and what people write.

``python -m docs.write`` writes; with ``--check`` it writes nothing and says which document is not as it would be.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from docs.keys import group_keys, label_parameters, model_keys, rule_kinds, service_keys, source_keys
from docs.rooms import LAYERS, drop_implied, find_layer, find_modules, find_rooms, join_rooms, keep_ours, read_imports
from include.specs.lake_tables import list_folders, list_tables
from include.tables import FolderSpec, TableSpec

ROOT = Path(__file__).resolve().parents[1]
# Folders that are no packages, so that they have no docstring to take.
CHARTERS: Mapping[str, str] = {
    "dags": "When, and in what order: one file for each DAG, or for the DAGs of each model or group.",
    "feature_repo": "Feast's objects, declared from the YAML of groups; the feature store loads it by name.",
}
_BEGIN, _END = "<!-- begin {}: written by `make docs` -->\n", "<!-- end {} -->"


def draw_rooms(root: Path) -> str:
    """Return the rooms by layer and the arrows between them, as a Mermaid flow chart.

    An arrow that others imply is left out, and so is the ground, which every room may import.
    """
    ground, *layers = LAYERS
    arrows = drop_implied(_find_arrows(root))
    shown = {room for room in arrows if find_layer(room) != ground}
    lines = ["```mermaid", "flowchart TD"]
    for layer in reversed(layers):
        lines.append(f'  subgraph layer_{layer}["{layer}"]')
        lines += [
            f'    {_node(room)}["{_label(place, layer)}"]'
            for room, place in _find_places(root).items()
            if find_layer(room) == layer
        ]
        lines.append("  end")
    lines += [f"  {_node(room)} --> {_node(each)}" for room in sorted(shown) for each in sorted(arrows[room] & shown)]
    return "\n".join([*lines, "```", ""])


def list_rooms(root: Path) -> str:
    """Return a table of the rooms, from the top layer down, with the first sentence of each one's charter."""
    lines = ["| layer | room | what belongs there |", "|---|---|---|"]
    for layer in reversed(LAYERS):
        for room, place in _find_places(root).items():
            if find_layer(room) == layer:
                lines.append(f"| {layer} | [{place}](../{place}) | {_charter(root, place)} |")
    return "\n".join([*lines, ""])


def describe_dags(root: Path) -> str:
    """Return each DAG file's docstring, below it the ids and schedules of its DAGs."""
    texts = []
    for path in sorted((root / "dags").glob("*.py")):
        tree = ast.parse(path.read_text())
        title, _, body = (ast.get_docstring(tree) or "").partition("\n")
        place = path.relative_to(root)
        dags = [f"- `{dag_id}`, {schedule}" for dag_id, schedule in _find_dags(tree)]
        texts += [f"#{title.lstrip('#')}".replace("# ", "## ", 1), "", f"[{place}](../{place})", "", *dags, body, ""]
    return "\n".join(texts)


def list_lake(_: Path) -> str:
    """Return a table of the lake's tables and folders, of the groups and models that ship."""
    lines = ["| table or folder | one row or file is | key | names a person by | kept |", "|---|---|---|---|---|"]
    lines += [
        f"| `{table.name}` | {table.row} | {', '.join(table.key)} | {table.whose.column or ''} | {_kept(table)} |"
        for table in list_tables()
    ]
    lines += [
        f"| `{folder.name}/` | {folder.file} | | {folder.whose.column or ''} | {_kept(folder)} |"
        for folder in list_folders()
    ]
    return "\n".join([*lines, ""])


def _kept(entry: TableSpec | FolderSpec) -> str:
    if entry.kept_days is not None:
        return f"{entry.kept_days} days"
    return entry.kept if isinstance(entry, FolderSpec) else "for good"


GENERATED: Mapping[str, Mapping[str, Callable[[Path], str]]] = {
    "docs/architecture.md": {"picture": draw_rooms, "rooms": list_rooms},
    "docs/dags.md": {"dags": describe_dags},
    "docs/features.md": {"keys": group_keys, "service": service_keys},
    "docs/lake.md": {"tables": list_lake},
    "docs/models.md": {"keys": model_keys, "labels": label_parameters},
    "docs/sources.md": {"keys": source_keys, "rules": rule_kinds},
}


def fill(text: str, name: str, part: str) -> str:
    r"""Return a document with what stands between a part's markers replaced.

    Raises
    ------
    ValueError
        If the document has not each marker once.

    Examples
    --------
    >>> fill("<!-- begin a: written by `make docs` -->\nold\n<!-- end a -->", "a", "new\n").splitlines()[1]
    'new'
    """
    begin, end = _BEGIN.format(name), _END.format(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"there must be one {begin.strip()} and one {end} to write between")
    return text[: text.index(begin) + len(begin)] + part + text[text.index(end) :]


def make_documents(root: Path) -> dict[Path, str]:
    """Return the documents as they should be, by path."""
    documents = {}
    for name, parts in GENERATED.items():
        text = (root / name).read_text()
        for part, make in parts.items():
            text = fill(text, part, make(root))
        documents[root / name] = text
    return documents


def _find_dags(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dag":
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            dag_id = re.sub(r"\{spec\.(\w+)\}|^spec\.(\w+)$", r"<\1\2>", re.sub(r"^f?'|'$", "", given["dag_id"]))
            yield dag_id, "by hand" if given["schedule"] == "None" else f"schedule `{given['schedule']}`"


def _find_arrows(root: Path) -> dict[str, set[str]]:
    modules = find_modules(root)
    return join_rooms(keep_ours(read_imports(modules), modules), find_rooms(modules))


def _find_places(root: Path) -> dict[str, Path]:
    """Return each room's folder or file, by its name, in order."""
    modules = find_modules(root)
    paths = {room: modules.get(room, root / room).relative_to(root) for room in set(find_rooms(modules).values())}
    return {room: path.parent if path.name == "__init__.py" else path for room, path in sorted(paths.items())}


def _charter(root: Path, place: Path) -> str:
    if str(place) in CHARTERS:
        return CHARTERS[str(place)]
    source = root / place
    docstring = ast.get_docstring(ast.parse((source / "__init__.py" if source.is_dir() else source).read_text())) or ""
    return docstring.split("\n\n")[0].replace("\n", " ").replace("``", "`")


def _label(place: Path, layer: str) -> str:
    """Return a place as it is found from `include`, or within the layer that is named as its folder."""
    parts = [part for part in place.parts if part != "include"]
    return "/".join(parts[1:] if parts[0] == layer and len(parts) > 1 else parts)


def _node(room: str) -> str:
    return room.replace(".", "_")


def main(arguments: list[str]) -> int:
    """Write the documents, or with ``--check`` name those that differ; return the exit code."""
    stale = {path: text for path, text in make_documents(ROOT).items() if path.read_text() != text}
    for path, text in stale.items():
        if arguments == ["--check"]:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not what the source says: run make docs\n")
        else:
            path.write_text(text)
    return int(bool(stale) and arguments == ["--check"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
