"""What the pages print is what a person types: the second domain of docs/, from a file to a model ready to train."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from include.adapters.compute.duckdb_compute import DuckDbCompute
from include.cli.main import cli
from include.settings import PROJECT_ROOT, Settings
from include.specs.deployed import load_specs
from include.specs.groups import load_feature_group
from include.specs.models import load_model
from include.specs.sources import _load_source
from include.steps.build_features import build_features
from include.steps.check_model import check_model
from tests.unit.steps.fakes import FakeDeployment, FakeState

OVERLAY = PROJECT_ROOT / "tests" / "overlays" / "elec2"
GROUP, BEGIN, DAYS = "half_hour_daily", datetime(1996, 5, 7, tzinfo=UTC), 20


def page(name: str) -> str:
    return (PROJECT_ROOT / "docs" / name).read_text(encoding="utf-8")


def block(name: str, language: str) -> str:
    """Return the first block of a page in a language."""
    found = re.search(rf"```{language}\n(.*?)```", page(name), re.DOTALL)
    assert found is not None
    return found.group(1)


def mlops(*arguments: str) -> str:
    _load_source.cache_clear()
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of specs with the source that is proposed for a file, corrected as the page says, and its group."""
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLOPS_LAKE_URI", raising=False)
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "specs"))
    times = [BEGIN + timedelta(minutes=30 * place) for place in range(48 * DAYS)]
    prices = [(place % 48) / 48 for place in range(48 * DAYS)]
    rows = pa.table({"read_at": times, "half_hour": [place % 48 for place in range(48 * DAYS)], "price": prices})
    pq.write_table(rows, tmp_path / "readings.parquet")
    mlops("sources", "new", "readings", "--from", str(tmp_path / "readings.parquet"))
    source = tmp_path / "specs" / "sources" / "readings.yaml"
    values = yaml.safe_load(source.read_text())
    values["columns"] = [{**c, "type": "id"} if c["name"] == "half_hour" else c for c in values["columns"]]
    values["rules"] += yaml.safe_load(block("sources.md", "yaml"))
    source.write_text(yaml.safe_dump(values))
    (tmp_path / "specs" / "features").mkdir()
    for language in ("yaml", "sql"):
        (tmp_path / "specs" / "features" / f"{GROUP}.{language}").write_text(block("features.md", language))
    _load_source.cache_clear()
    return tmp_path


def test_the_printed_group_stands_and_no_row_of_its_source_breaks_a_bound(specs):
    assert load_specs().violations == ()
    assert "no row that was tried breaks a bound" in mlops("features", "probe", "--group", GROUP)


def test_the_printed_group_is_built_the_same_by_the_range_and_by_the_day(specs):
    mlops("sources", "import", "readings", str(specs / "readings.parquet"))
    deployment = FakeDeployment(specs / "home" / "lake")
    built = build_features(deployment, GROUP, start="1996-05-10", end="1996-05-20")
    table = load_feature_group(GROUP).table
    before = deployment.lake.digest(table)
    assert (built.rows, build_features(deployment, GROUP, start="1996-05-15", end="1996-05-15").rows) == (11 * 48, 48)
    assert deployment.lake.digest(table) == before
    rows = deployment.lake.read(table, start="1996-05-20", end="1996-05-20").to_pylist()
    means = {row["half_hour"]: (row["price_mean_7d"], row["days_7d"], row["dt"]) for row in rows}
    expected = {str(slot): (pytest.approx(slot / 48, abs=1e-8), 7, date(1996, 5, 20)) for slot in range(48)}
    assert means == expected


def test_the_printed_model_stands_and_its_label_keeps_what_a_label_has_to(specs):
    mlops(*re.findall(r"^mlops (models new dearer .*)$", page("models.md"), re.MULTILINE)[0].split())
    model = specs / "specs" / "dearer.yaml"
    begun, changed = yaml.safe_load(model.read_text()), yaml.safe_load(block("models.md", "yaml"))
    assert changed.keys() <= begun.keys()
    merged = {key: {**begun[key], **to} if isinstance(to, dict) else to for key, to in changed.items()}
    model.write_text(yaml.safe_dump({**begun, **merged}))
    (specs / "specs" / "labels" / "dearer.sql").write_text(block("models.md", "sql"))
    assert load_specs().violations == ()
    nothing_published = SimpleNamespace(duckdb=DuckDbCompute(), settings=Settings.from_env(), state=FakeState())
    found = check_model(nothing_published, load_model("dearer"), as_of=BEGIN)  # type: ignore[arg-type]
    assert found.wrong == ()


def test_the_printed_label_is_the_one_that_a_version_is_trained_on():
    statement = (OVERLAY / "labels" / "dearer.sql").read_text(encoding="utf-8")
    assert block("models.md", "sql") == statement.replace("elec2", "readings")
