from __future__ import annotations

from pathlib import Path

import pytest

from include.embedded.home import EmbeddedHome
from include.embedded.upgrade import Upgrade
from include.settings import Settings


@pytest.mark.parametrize("name", ["features/visits.yaml", "features/visits.sql", "services/visits_v1.yaml"])
def test_what_an_overlay_declares_is_brought_once_and_again_when_it_changes(tmp_path, monkeypatch, name):
    declared = tmp_path / "specs" / name
    home = tmp_path / "home"
    for folder in (declared.parent, home / "run", home / "postgres"):
        folder.mkdir(parents=True)
    settings = Settings.from_env({"MLOPS_HOME": str(home), "MLOPS_SPECS": str(tmp_path / "specs")})
    found = EmbeddedHome(home)
    found.postgres.data_dir.mkdir(parents=True, exist_ok=True)
    Path(found.postgres.data_dir, "PG_VERSION").write_text("18")
    brought: list[list[str]] = []
    monkeypatch.setattr(Upgrade, "_run", lambda self, behind, env: brought.append(list(behind)))

    def bring() -> int:
        Upgrade(found, settings).bring(["feast"], {}, lambda line: None)
        return len(brought)

    assert [bring(), bring()] == [1, 1]
    declared.write_text("columns: []")
    assert [bring(), bring()] == [2, 2]
    declared.write_text("columns: [a]")
    assert [bring(), bring()] == [3, 3]
