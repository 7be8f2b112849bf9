from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.dag_processing.dagbag import DagBag


@pytest.fixture(scope="session")
def bag(home: Path) -> DagBag:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=str(PROJECT_ROOT / "dags"))
