from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from include.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.dag_processing.dagbag import DagBag


@pytest.fixture(scope="session")
def bag(home: Path) -> DagBag:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(PROJECT_ROOT / "dags"))


@pytest.fixture
def bag_of_chunks(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DagBag:
    """Return the DAGs of scoring where the spec of churn has its nights scored in chunks."""
    from airflow.dag_processing.dagbag import DagBag

    overlay = shutil.copytree(os.environ["MLOPS_SPECS"], tmp_path / "overlay")
    values = yaml.safe_load((overlay / "churn.yaml").read_text())
    (overlay / "churn.yaml").write_text(yaml.safe_dump({**values, "scoring": {"chunk_rows": 1_000}}))
    monkeypatch.setenv("MLOPS_SPECS", str(overlay))
    return DagBag(dag_folder=str(PROJECT_ROOT / "dags" / "score_batch.py"))
