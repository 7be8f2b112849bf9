"""`mlops sources` as a person who brings a table: what is there, what a file would be, and a YAML to start from."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from include.cli.main import cli
from include.cli.sources import sources as sources_cli
from include.errors import UsageError
from include.specs.deployed import load_specs
from include.specs.sources import _load_source

HEADS = {
    "plain": ("customer", "day", "pieces", "value"),
    "spreadsheet": ("Kunde", "Datum", "Stück", "Wert"),
    "other order": ("Tag", "Menge", "Betrag", "Käufer"),
}


@pytest.fixture
def overlay(tmp_path, monkeypatch) -> Path:
    """A home, and a folder of specs that is not there yet."""
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLOPS_LAKE_URI", raising=False)
    monkeypatch.setenv("MLOPS_SPECS", str(tmp_path / "specs"))
    return tmp_path / "specs"


def purchases(*, lines: int = 400, seed: int = 0) -> list[tuple[str, date, int, float]]:
    """Purchases of four columns; one of them is there twice, and one names nobody."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"K{rng.integers(1000, 1040)}", date(2025, 1, 1) + timedelta(days=int(rng.integers(0, 90))), pieces, value)
        for pieces, value in zip(rng.integers(1, 9, lines), rng.uniform(1, 99, lines).round(2), strict=True)
    ]
    nobody = ("", *rows[1][1:])
    return [*rows, rows[0], nobody]


def write(path: Path, rows, head, *, spreadsheet: bool, order=(0, 1, 2, 3)) -> Path:
    """Write a log as a program does, or as a spreadsheet exports it."""
    if spreadsheet:
        told = [(c, f"{d:%d.%m.%Y}", str(p), f"{v:.2f}".replace(".", ",")) for c, d, p, v in rows]
    else:
        told = [(c, d.isoformat(), str(p), f"{v:.2f}") for c, d, p, v in rows]
    mark, end = (";", "\r\n") if spreadsheet else (",", "\n")
    lines = [mark.join(head), *(mark.join(row[place] for place in order) for row in told)]
    path.write_bytes((("\ufeff" if spreadsheet else "") + end.join(lines) + end).encode())
    return path


def run(*arguments: object) -> str:
    # Each command is a process of its own to a person.
    _load_source.cache_clear()
    done = CliRunner().invoke(cli, ["sources", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("command", [["import", "orders"], ["check", "elec2"]], ids=" ".join)
def test_specs_that_are_not_there_are_told(overlay, tmp_path, command):
    file = write(tmp_path / "log.csv", purchases(), HEADS["plain"], spreadsheet=False)
    done = CliRunner().invoke(cli, ["sources", *command, str(file)])
    assert done.exception.exit_code == 2
    assert f"{overlay}" in str(done.exception)
    assert "which MLOPS_SPECS names or the home was made with, is not" in str(done.exception)
    assert not (tmp_path / "home").exists()


def test_the_list_and_a_source_are_shown():
    (orders,) = [line for line in json.loads(run("list", "--json"))["sources"] if line["source"] == "orders"]
    assert orders["dag"] == "ingest_orders"
    assert "customer_daily" in orders["groups"]
    assert "orders" in run("list")
    shown = json.loads(run("show", "orders", "--json"))
    assert shown["tables"] == ["raw/orders", "quarantine/orders", "deliveries/orders"]
    assert yaml.safe_load(run("show", "orders")) == yaml.safe_load(json.dumps(shown["values"])) | {
        "rules": yaml.safe_load(run("show", "orders"))["rules"]
    }


@pytest.mark.parametrize("kind", HEADS)
def test_a_log_of_four_columns_becomes_orders_by_a_proposed_format(overlay, tmp_path, kind):
    order = (1, 2, 3, 0) if kind == "other order" else (0, 1, 2, 3)
    file = write(tmp_path / "log.csv", purchases(), HEADS[kind], spreadsheet=kind != "plain", order=order)
    told = json.loads(run("new", "till", "--from", file, "--for", "orders", "--json"))
    assert told["written"] == [str(overlay / "sources" / "orders.yaml"), str(overlay / "churn.yaml")]
    assert f"mlops demo --orders {file} --format till" in told["next"]
    _load_source.cache_clear()
    assert load_specs().violations == ()

    before = sorted(tmp_path.rglob("*"))
    check = json.loads(run("check", "orders", file, "--format", "till", "--json"))["check"]
    assert sorted(tmp_path.rglob("*")) == before
    assert (check["rows_in"], check["rules"]) == (402, {"customer_id_missing": 1, "duplicate_row": 1})
    assert [row["row_number"] for row in check["first_rows"]["duplicate_row"]] == [401]

    account = json.loads(run("import", "orders", file, "--format", "till", "--json"))
    assert {name: account[name] for name in ("rows_in", "rows_published", "rows_quarantined")} == {
        "rows_in": check["rows_in"], "rows_published": check["rows_taken"], "rows_quarantined": 2,
    }  # fmt: skip
    assert (account["first"], account["last"]) == (check["first"], check["last"])


def test_the_proposed_mapping_gives_back_what_the_log_says(overlay, tmp_path):
    from include.adapters.deployment import Deployment

    rows = purchases()[:-2]
    file = write(tmp_path / "log.csv", rows, HEADS["spreadsheet"], spreadsheet=True)
    run("new", "till", "--from", file, "--for", "orders")
    run("import", "orders", file, "--format", "till")
    found = Deployment.from_env().lake.read("raw/orders").to_pylist()
    spend = sorted((r["customer_id"], r["dt"], r["quantity"], round(r["quantity"] * r["unit_price"], 2)) for r in found)
    assert spend == sorted((c, d, int(p), float(v)) for c, d, p, v in rows)


def test_a_file_of_its_own_becomes_a_source_that_imports(overlay, tmp_path):
    file = tmp_path / "Meter readings.csv"
    lines = [f"{place},m{place % 7},2025-01-{1 + place % 28:02} 09:30:00,{place * 1.5}" for place in range(200)]
    file.write_text("\n".join(["Reading ID,meter,readAt,kWh", *lines]) + "\n")
    said = run("check", file)
    assert "200 would be taken" in said
    told = json.loads(run("new", "meters", "--from", file, "--json"))
    assert told["next"][0] == f"mlops sources check meters {file} --format export"
    spec = load_specs().sources["meters"]
    assert (spec.key, spec.event_time, spec.column_names) == (
        ("reading_id",), "read_at", ("reading_id", "meter", "read_at", "k_wh"),
    )  # fmt: skip
    assert json.loads(run("import", "meters", file, "--format", "export", "--json"))["rows_published"] == 200
    assert f"# {overlay / 'sources' / 'meters.yaml'}" in run("show", "meters")


def test_lines_that_nothing_tells_apart_are_told_apart_by_all_they_say(overlay, tmp_path):
    file = write(tmp_path / "log.csv", purchases(), HEADS["plain"], spreadsheet=False)
    told = json.loads(run("new", "visits", "--from", file, "--json"))
    assert "no columns were found that tell rows apart" in told["to_read"][0]
    assert load_specs().sources["visits"].key == ("line_key",)
    account = json.loads(run("import", "visits", file, "--format", "export", "--json"))
    # Nothing asks for a customer here; the line that is there twice is counted.
    assert (account["rows_published"], account["rules"]["duplicate_row"]) == (401, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", "Visits", "--from", "FILE"), "no name of a source"),
        (("new", "orders", "--from", "FILE"), "there is a source 'orders' already.*--for orders"),
        (("new", "orders", "--from", "FILE", "--for", "ordres"), "did you mean 'orders'"),
        (("new", "purchases", "--from", "FILE", "--for", "orders"), "has a format 'purchases' already"),
        (("check",), "name a file, or a source and a file"),
        (("check", "orders", "FILE", "--format", "till"), "format 'till' of orders is not known"),
        (("check", "orders", "FILE"), "its columns are those of --format purchases"),
        (("check", "orders", "FOREIGN"), "name another --format .*mlops sources new NAME --for orders --from FILE"),
        (("check", "orders", "FILE", "--time-zone", "Europe/Berln"), "did you mean 'Europe/Berlin'"),
        (("import", "orders", "FILE", "--time-zone", "Europe/Berln"), "did you mean 'Europe/Berlin'"),
        (("show", "ordres"), "did you mean 'orders'"),
        (("new", "visits", "--from", "TIMELESS"), "no column seems to be a time.*export the file again with one"),
    ],
)
def test_wrong_use_says_what_is_wrong_and_writes_nothing(overlay, tmp_path, arguments, message):
    file = write(tmp_path / "log.csv", purchases(), HEADS["plain"], spreadsheet=False)
    foreign = write(tmp_path / "foreign.csv", purchases(), HEADS["spreadsheet"], spreadsheet=False)
    timeless = tmp_path / "timeless.csv"
    timeless.write_text("slot,price\n0.5,0.1\n0.75,0.2\n")
    words = [str({"FILE": file, "FOREIGN": foreign, "TIMELESS": timeless}.get(word, word)) for word in arguments]
    with pytest.raises(UsageError, match=message):
        sources_cli.main(words, standalone_mode=False)
    assert not overlay.exists()


@pytest.mark.parametrize("by", [(), ("--format", "online-retail")], ids=str)
def test_an_import_by_another_format_names_the_files_own(overlay, tmp_path, by):
    overlay.mkdir()
    file = write(tmp_path / "log.csv", purchases(), HEADS["plain"], spreadsheet=False)
    with pytest.raises(UsageError, match="its columns are those of --format purchases"):
        sources_cli.main(["import", "orders", str(file), *by], standalone_mode=False)
    assert list(overlay.iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(overlay, tmp_path):
    file = write(tmp_path / "log.csv", purchases(), HEADS["plain"], spreadsheet=False)
    run("new", "visits", "--from", file)
    with pytest.raises(UsageError, match="is there already, and is not overwritten"):
        sources_cli.main(["new", "visits", "--from", str(file)], standalone_mode=False)
