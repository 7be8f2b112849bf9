"""The documents say what is there: what is generated in them, the files they name, the links they give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.write import GENERATED, draw_rooms, fill, list_rooms, make_documents
from include.settings import PROJECT_ROOT

DOCUMENTS = sorted([PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def generated() -> dict[Path, str]:
    return make_documents(PROJECT_ROOT)


@pytest.mark.parametrize("name", GENERATED)
def test_what_is_generated_is_what_the_source_says(generated, name):
    path = PROJECT_ROOT / name
    assert path.read_text() == generated[path], "run make docs"


def test_an_import_a_charter_and_a_dag_that_change_change_the_documents(tmp_path):
    sources = {
        "include/steps/__init__.py": '"""Steps."""\n',
        "include/steps/score.py": "",
        "include/quality/__init__.py": '"""Rules."""\n',
        "include/quality/rows.py": "",
        "dags/score.py": '"""### Score\n\nOnce."""\n@dag(dag_id="score", schedule=None)\ndef score(): ...\n',
    }
    sources["include/__init__.py"] = '"""House."""\n'
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name, parts in GENERATED.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(
            "".join(f"<!-- begin {part}: written by `make docs` -->\n<!-- end {part} -->\n" for part in parts)
        )
    rooms, dags = tmp_path / "docs/architecture.md", tmp_path / "docs/dags.md"
    before = make_documents(tmp_path)
    assert "-->" not in draw_rooms(tmp_path)
    assert "| pure | [include/quality](../include/quality) | Rules. |" in list_rooms(tmp_path)
    assert "## Score\n\n[dags/score.py](../dags/score.py)\n\n- `score`, by hand\n\nOnce.\n" in before[dags]

    (tmp_path / "include/steps/score.py").write_text("def score():\n    import include.quality.rows\n")
    assert "include_steps --> include_quality" in draw_rooms(tmp_path)
    assert make_documents(tmp_path)[rooms] != before[rooms]
    (tmp_path / "dags/score.py").write_text(sources["dags/score.py"].replace("None", "nightly()"))
    assert "- `score`, schedule `nightly()`" in make_documents(tmp_path)[dags]


@pytest.mark.parametrize("text", ["", "<!-- end a -->\n<!-- end a -->\n"], ids=["none", "doubled"])
def test_a_document_without_its_markers_is_refused(text):
    with pytest.raises(ValueError, match="there must be one <!-- begin a"):
        fill(text, "a", "new\n")


def test_files_that_the_architecture_names_exist():
    names = re.findall(r"`([\w.<>-]+/[\w./<>-]*)`", (PROJECT_ROOT / "docs" / "architecture.md").read_text())
    assert len(names) > 50
    patterns = {re.sub(r"<\w+>", "*", name) for name in names}
    assert [pattern for pattern in sorted(patterns) if not list(PROJECT_ROOT.glob(pattern))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT_ROOT)))
def test_links_lead_somewhere(document: Path):
    links = re.findall(r"\]\(([^)]+)\)", document.read_text())
    targets = {link.partition("#")[0] for link in links if not link.startswith(("http", "#"))}
    assert [target for target in sorted(targets) if not (document.parent / target).exists()] == []


def test_each_decision_has_a_number_of_its_own_and_says_it():
    found = sorted((PROJECT_ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name.split("-")[0]) for path in found]
    assert len(numbers) == len(set(numbers)) > 40
    for number, path in zip(numbers, found, strict=True):
        assert path.read_text().startswith(f"# {number}. "), path.name
