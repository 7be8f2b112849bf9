"""What a person sees who gives the command line something it can't take: one message, a code, and nothing written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.cli.main import main
from include.embedded.home import make_home
from include.home import HomeSettings
from tests.shop import make_orders


class Ended(NamedTuple):
    """What a command has said, and its code."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def mlops(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command as the process of one would, in this one."""

    def run(*arguments: str, home: Path, **env: str) -> Ended:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_"))}
        with (
            patch.dict(os.environ, {**kept, "MLOPS_HOME": str(home), **env}, clear=True),
            patch.object(sys, "argv", ["mlops", *arguments]),
            patch.object(os, "umask"),
            pytest.raises(SystemExit) as ended,
        ):
            main()
        said = capfd.readouterr()
        return Ended(ended.value.code, said.out, said.err)

    return run


def assert_told(done: Ended, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    path = tmp_path / "orders.parquet"
    pq.write_table(make_orders(days=3), path)
    return path


def write(path: Path, change) -> None:
    table = pq.read_table(path)
    pq.write_table(change(table), path)


BROKEN_FILES = {
    "missing column": (lambda path: write(path, lambda t: t.drop_columns(["quantity"])), ("quantity",)),
    "wrong type": (
        lambda path: write(path, lambda t: t.set_column(8 - 1, "unit_price", pa.array(["cheap"] * t.num_rows))),
        ("unit_price",),
    ),
    "empty": (lambda path: path.write_bytes(b""), ("empty",)),
    "no rows": (lambda path: write(path, lambda t: t.slice(0, 0)), ("no rows",)),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-200]), ("orders.parquet",)),
    "absent": (lambda path: path.unlink(), ("orders.parquet",)),
}


@pytest.mark.parametrize("fault", BROKEN_FILES)
def test_a_broken_file_exits_2_and_writes_nothing(mlops, tmp_path, orders, fault):
    breaks, words = BROKEN_FILES[fault]
    breaks(orders)
    done = mlops("orders", "import", str(orders), "--format", "canonical", home=tmp_path / "home")
    assert_told(done, 2, *words)
    assert not (tmp_path / "home" / "lake").exists()


def test_an_unknown_format_exits_2_with_the_known_ones(mlops, tmp_path, orders):
    done = mlops("orders", "import", str(orders), "--format", "canonica", home=tmp_path / "home")
    assert_told(done, 2, "canonical", "online-retail")


def test_a_wrong_key_in_a_spec_exits_2_and_names_the_nearest(mlops, tmp_path):
    (tmp_path / "churn.yaml").write_text("monitoring:\n  psi_significnt: 0.3\n")
    done = mlops(
        "train", "--model", "churn", "--as-of", "2026-01-01", home=tmp_path / "home", MLOPS_SPECS=str(tmp_path)
    )
    assert_told(done, 2, "churn.yaml", "monitoring.psi_significnt", "did you mean 'psi_significant'?")


def test_a_lake_without_a_scheme_exits_2(mlops, tmp_path, orders):
    done = mlops("orders", "import", str(orders), "--format", "canonical", home=tmp_path, MLOPS_LAKE_URI="/data")
    assert_told(done, 2, "MLOPS_LAKE_URI='/data'", "file:// or s3://")


def test_a_lake_that_can_not_be_written_exits_3(mlops, tmp_path, orders):
    (tmp_path / "blocked").write_text("a file where a folder should be")
    lake = (tmp_path / "blocked").as_uri()
    done = mlops("orders", "import", str(orders), "--format", "canonical", home=tmp_path, MLOPS_LAKE_URI=lake)
    assert_told(done, 3, lake, "check MLOPS_LAKE_URI")


NAMED = {
    "build": ("features", "build", "--date", "2026-01-01", "--group"),
    "check": ("features", "check", "--date", "2026-01-01", "--group"),
    "heal": ("features", "heal", "--group"),
    "export": ("features", "export", "--date", "2026-01-01", "--out", "OUT", "--group"),
    "audit": ("features", "audit", "--date", "2026-01-01", "--model"),
    "train": ("train", "--as-of", "2026-01-01", "--model"),
}


@pytest.mark.parametrize("command", NAMED)
@pytest.mark.parametrize("name", ["../../etc", "../models/churn"])
def test_a_name_that_would_be_a_path_exits_2(mlops, tmp_path, command, name):
    arguments = [str(tmp_path / "out.csv") if word == "OUT" else word for word in NAMED[command]]
    assert_told(mlops(*arguments, name, home=tmp_path / "home"), 2, "there is no ", repr(name), "known: ")


def test_features_without_orders_exit_2_with_the_next_move(mlops, tmp_path):
    done = mlops("features", "build", "--group", "customer_daily", "--date", "2026-01-01", home=tmp_path / "home")
    assert_told(done, 2, "no orders", "mlops sources import orders FILE")


@pytest.mark.parametrize(
    "command",
    [
        ("registry", "status", "--model", "churn"),
        ("registry", "ledger", "--model", "churn", "--at", "2026-03-03"),
        ("score", "--model", "churn", "--date", "2026-03-03"),
    ],
    ids=" ".join,
)
def test_another_server_that_is_down_exits_3_with_the_next_move_and_none_is_started(mlops, tmp_path, command):
    elsewhere = f"postgresql+psycopg://me@/state?host={tmp_path}"
    done = mlops(*command, home=tmp_path / "home", MLOPS_DATABASE_URL=elsewhere)
    assert_told(done, 3, "can't be reached", "set MLOPS_DATABASE_URL")
    assert not (tmp_path / "home" / "postgres").exists()


def test_a_day_that_is_none_exits_2(mlops, tmp_path):
    done = mlops("registry", "ledger", "--model", "churn", "--at", "3 March", home=tmp_path / "home")
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--orders", "shop.csv"), 2, ("--orders needs --format",)),
        (("--format", "canonical"), 2, ("name the file with --orders",)),
        (("--orders", "shop.csv", "--format", "cannonical"), 2, ("did you mean 'canonical'?",)),
        (("--orders", "shop.csv", "--format", "canonical", "--seed", "3"), 2, ("--seed is of the simulated shop",)),
    ],
    ids=["no format", "format alone", "unknown format", "seed of a file"],
)
def test_a_demo_that_can_not_be_played_starts_nothing(mlops, tmp_path, arguments, code, words):
    done = mlops("demo", *arguments, home=tmp_path / "home")
    assert_told(done, code, *words)
    assert not (tmp_path / "home").exists()


def test_a_demo_keeps_to_its_home(mlops, tmp_path):
    done = mlops("demo", home=tmp_path / "home", MLOPS_LAKE_URI=(tmp_path / "lake").as_uri())
    assert done.returncode == 1
    assert "unset MLOPS_LAKE_URI" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("is_ours", [False, True], ids=["somebody's folder", "a home in use"])
def test_a_home_that_is_not_a_demo_is_left_alone(mlops, tmp_path, is_ours):
    if is_ours:
        make_home(tmp_path / "home", HomeSettings(None))
    kept = tmp_path / "home" / "lake" / "precious"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    for options in ((), ("--fresh",)):
        done = mlops("demo", *options, home=tmp_path / "home")
        assert done.returncode == 1
        assert "set MLOPS_HOME to another folder" in done.stderr
        assert kept.read_text() == "mine"
