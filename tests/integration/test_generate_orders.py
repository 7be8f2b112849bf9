"""From a seed to the files of a shop: what is written, the same bytes every time, and nothing where it went wrong."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include import partitions
from include.cli.main import main
from include.errors import UsageError
from include.simulation.baskets import ORDER_LINES, ORDER_TRUTH
from include.simulation.incidents import Incident, parse_incident
from include.simulation.shop import Shop
from include.simulation.world import World
from include.steps.generate_orders import GeneratedOrders, deliver_night, generate_orders

START, END, NIGHTS = "2024-04-13", "2024-06-11", 10
INCIDENTS = (
    "price_drift@2024-05-20*1.5", "late_rows@2024-06-02+2", "corrections@2024-06-03+1", "missing_day@2024-06-05+2",
    "double_delivery@2024-06-06+1", "renamed_column@2024-06-08+1", "unit_error@2024-06-09+1",
    "missing_customers@2024-06-10+1",
)  # fmt: skip

# The bytes of a shop: seed 7, the 60 days above, no night, the shipped world. They are the same on every Python
# and change only with pyarrow's or numpy's version: after such an upgrade, and for no other reason, renew them.
GOLDEN = {
    "history.parquet": "6a455533fd3a43e93c46ec5030a15aefb0610fa963463cda8fe25b27f8618b46",
    "truth/customers.parquet": "9f2c970d2bcde237a79441b8dc0bfbe04cec33ba06d3eb66f3f69331538a43e4",
}


def generate(
    out: Path, *, seed: int = 7, nights: int = NIGHTS, incidents: tuple[str, ...] = INCIDENTS
) -> GeneratedOrders:
    parsed = [parse_incident(text) for text in incidents]
    return generate_orders(out, seed=seed, start=START, end=END, nights=nights, incidents=parsed)


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated") / "shop"


@pytest.fixture(scope="module")
def made(out: Path) -> GeneratedOrders:
    return generate(out)


@pytest.fixture(scope="module")
def true_days() -> dict[str, pa.Table]:
    shop = Shop(World(), seed=7, start=START, incidents=[parse_incident(text) for text in INCIDENTS])
    return {day.day: day.lines for day in shop.days(END)}


# Files -------------------------------------------------------------------------------------------


def test_history_arrivals_and_truth_are_written_and_nothing_else(out, made):
    assert {path.name for path in out.iterdir()} == {"history.parquet", "arrivals", "truth"}
    truth = {path.name for path in (out / "truth").iterdir()}
    assert truth == {"customers.parquet", "orders.parquet", "arrivals.parquet", "parameters.json"}
    assert [path.name for path in out.parent.iterdir()] == ["shop"]


def test_the_history_is_what_happened_before_the_nights(out, made, true_days):
    assert (made.first, made.history_end) == (START, "2024-06-01")
    history = [lines for day, lines in true_days.items() if day <= made.history_end]
    assert pq.read_table(made.history) == pa.concat_tables(history)


def test_the_nights_are_the_days_after_the_history(out, made):
    assert list(made.nights) == partitions.span("2024-06-02", END)
    # On the night whose delivery is missing nothing arrives.
    missing = "2024-06-05"
    assert {path.name for path in (out / "arrivals").iterdir()} == set(made.nights) - {missing}


def test_every_folder_that_arrives_is_marked_as_complete(out, made):
    folders = sorted((out / "arrivals").glob("*/orders/dt=*"))
    assert len(folders) >= NIGHTS - 1
    assert all((folder / "_SUCCESS").exists() for folder in folders)


def test_a_night_without_an_incident_arrives_as_it_happened(out, made, true_days):
    arrived = pq.read_table(out / "arrivals" / "2024-06-07" / "orders" / "dt=2024-06-07" / "orders.parquet")
    assert arrived == true_days["2024-06-07"]


def test_the_truth_of_arrivals_counts_the_rows_of_every_file(out, made):
    table = pq.read_table(out / "truth" / "arrivals.parquet").to_pylist()
    told = {(row["night"], row["file"]): row["rows"] for row in table}
    files = sorted((out / "arrivals").glob("*/orders/*/*.parquet"))
    written = {(f.parts[-4], f"{f.parts[-2]}/{f.name}"): pq.read_metadata(f).num_rows for f in files}
    assert told == written
    assert len(table) == len(told)
    assert min(written.values()) > 0


def test_the_truth_of_arrivals_names_the_incident_of_every_day(out, made):
    table = pq.read_table(out / "truth" / "arrivals.parquet").to_pylist()
    incidents = {i.day: i.kind for i in map(parse_incident, INCIDENTS) if not i.lasts}
    assert {(row["day"], row["incident"]) for row in table} == {(day, incidents.get(day)) for day in made.nights}


def test_the_truth_of_orders_and_customers_is_of_all_that_was_sold(out, made, true_days):
    lines = pa.concat_tables(true_days.values())
    sold = pc.unique(lines.filter(pc.equal(lines["kind"], "sale"))["order_id"])
    orders = pq.read_table(out / "truth" / "orders.parquet")
    customers = pq.read_table(out / "truth" / "customers.parquet")
    assert orders.schema == ORDER_TRUTH
    assert sorted(orders["order_id"].to_pylist()) == sorted(sold.to_pylist())
    assert set(orders["customer_id"].to_pylist()) == set(customers["customer_id"].to_pylist())
    assert (made.orders, made.customers, made.lines) == (orders.num_rows, customers.num_rows, lines.num_rows)


def test_what_arrives_holds_nothing_of_the_truth(out, made):
    names = {
        name for f in [out / "history.parquet", *out.glob("arrivals/**/*.parquet")] for name in pq.read_schema(f).names
    }
    assert names == {*ORDER_LINES.names, "customer"}


def test_the_parameters_are_enough_to_write_the_same_again(out, made, tmp_path):
    told = json.loads((out / "truth" / "parameters.json").read_text())
    world = World(**{**told["world"], "weekly": tuple(told["world"]["weekly"])})
    generate_orders(
        tmp_path / "again",
        seed=told["seed"],
        start=told["start"],
        end=told["end"],
        nights=told["nights"],
        incidents=[Incident(**values) for values in told["incidents"]],
        world=world,
    )
    assert hashes(tmp_path / "again") == hashes(out)


def test_without_nights_there_is_a_history_only(tmp_path):
    made = generate(tmp_path / "shop", nights=0, incidents=())
    assert made.history_end == END
    assert made.nights == ()
    assert {path.name for path in (tmp_path / "shop").iterdir()} == {"history.parquet", "truth"}


def test_with_nights_only_there_is_no_history(tmp_path):
    made = generate_orders(tmp_path / "shop", seed=7, start="2024-06-01", end="2024-06-05", nights=5)
    assert (made.history, made.first, made.history_end) == (None, None, None)
    assert {path.name for path in (tmp_path / "shop").iterdir()} == {"arrivals", "truth"}


def test_row_groups_are_bounded_and_lose_nothing(tmp_path, monkeypatch, out, made):
    monkeypatch.setattr("include.steps.generate_orders._ROW_GROUP", 500)
    again = generate(tmp_path / "shop")
    metadata = pq.read_metadata(again.history)
    assert metadata.num_row_groups > 3
    # A day's lines are kept together until they are written.
    assert max(metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)) <= 500
    assert pq.read_table(again.history) == pq.read_table(made.history)


# The same bytes ----------------------------------------------------------------------------------


def test_the_same_arguments_write_the_same_bytes(out, made, tmp_path):
    generate(tmp_path / "elsewhere")
    assert len(hashes(out)) > 2 * NIGHTS
    assert hashes(tmp_path / "elsewhere") == hashes(out)


def test_another_seed_writes_other_bytes(out, made, tmp_path):
    generate(tmp_path / "shop", seed=8)
    mine, others = hashes(out), hashes(tmp_path / "shop")
    assert mine.keys() == others.keys()
    assert all(mine[name] != others[name] for name in mine if not name.endswith("_SUCCESS"))


def test_how_many_days_are_nights_changes_nothing_that_happened(out, made, tmp_path):
    generate(tmp_path / "shop", nights=0, incidents=INCIDENTS[:1])
    for name in ("truth/customers.parquet", "truth/orders.parquet"):
        assert hashes(tmp_path / "shop")[name] == hashes(out)[name]


def _rounds_like_the_golden_machine() -> bool:
    """Whether powers and logarithms are computed as where the golden bytes were written, to their last bit."""
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and " fma " in cpu.read_text()


@pytest.mark.skipif(not _rounds_like_the_golden_machine(), reason="the C library rounds the last bit otherwise here")
def test_the_bytes_are_those_that_were_written_once(tmp_path):
    generate(tmp_path / "shop", nights=0, incidents=())
    written = hashes(tmp_path / "shop")
    assert {name: written[name] for name in GOLDEN} == GOLDEN


# Nights are delivered ----------------------------------------------------------------------------


def test_after_all_nights_the_landing_folder_holds_what_arrived_last(out, made, tmp_path):
    for night in made.nights:
        deliver_night(out / "arrivals", night, tmp_path)
    expected: dict[str, str] = {}
    for night in made.nights:
        expected |= hashes(out / "arrivals" / night)
    assert hashes(tmp_path) == expected
    assert sorted(p.name for p in (tmp_path / "orders").iterdir()) == [f"dt={night}" for night in made.nights]


def test_delivering_a_night_again_changes_nothing(out, made, tmp_path):
    for _ in range(2):
        deliver_night(out / "arrivals", made.nights[0], tmp_path)
        assert hashes(tmp_path) == hashes(out / "arrivals" / made.nights[0])


def test_a_folder_is_marked_as_complete_when_its_files_are_there(out, made, tmp_path, monkeypatch):
    copied: list[str] = []

    def copy(source: Path, target: Path) -> None:
        copied.append(source.name)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr("include.steps.generate_orders.shutil.copyfile", copy)
    deliver_night(out / "arrivals", "2024-06-10", tmp_path)
    marks = [name == "_SUCCESS" for name in copied]
    assert marks == sorted(marks)
    assert 0 < sum(marks) < len(marks)


def test_a_night_on_which_nothing_arrives_delivers_nothing(out, made, tmp_path):
    deliver_night(out / "arrivals", "2024-06-05", tmp_path)
    assert list(tmp_path.iterdir()) == []


# All or nothing ----------------------------------------------------------------------------------


def stop_on_the_fifth_day(error: BaseException) -> Callable[..., object]:
    next_day = Shop._next

    def stopped(self: Shop, number: int, day: str) -> object:
        if number == 4:
            raise error
        return next_day(self, number, day)

    return stopped


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), SystemExit(143)], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("nights", [0, 58], ids=["in the history", "in the nights"])
def test_stopped_in_the_middle_leaves_nothing(tmp_path, monkeypatch, error, nights):
    monkeypatch.setattr(Shop, "_next", stop_on_the_fifth_day(error))
    with pytest.raises(type(error)):
        generate(tmp_path / "shop", nights=nights, incidents=())
    assert list(tmp_path.iterdir()) == []


def test_stopped_at_the_last_file_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(Shop, "customers", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate(tmp_path / "shop")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_no_hindrance(tmp_path, out, made):
    (tmp_path / ".shop.partial" / "truth").mkdir(parents=True)
    (tmp_path / ".shop.partial" / "history.parquet").write_bytes(b"half")
    generate(tmp_path / "shop")
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    assert hashes(tmp_path / "shop") == hashes(out)


def test_an_empty_folder_is_filled(tmp_path, out, made):
    (tmp_path / "shop").mkdir()
    generate(tmp_path / "shop")
    assert hashes(tmp_path / "shop") == hashes(out)


# The command line --------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code and what it says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mlops", "orders", "generate", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


SMALL = ("--seed", "7", "--start", START, "--end", END)


def test_the_command_writes_what_the_step_does(capsys, tmp_path, out, made):
    incidents = [word for text in INCIDENTS for word in ("--incident", text)]
    code, said, _ = run(capsys, *SMALL, "--nights", str(NIGHTS), *incidents, "--out", str(tmp_path / "shop"), "--json")
    assert code == 0
    assert hashes(tmp_path / "shop") == hashes(out)
    expected = {**asdict(made), "history": str(tmp_path / "shop" / "history.parquet"), "nights": list(made.nights)}
    assert json.loads(said) == expected


def test_the_command_tells_what_there_is_and_what_goes_wrong(capsys, tmp_path):
    incident = ("--nights", "5", "--incident", "late_rows@2024-06-08+1")
    code, said, _ = run(capsys, *SMALL, *incident, "--out", str(tmp_path / "shop"))
    assert code == 0
    lines = said.splitlines()
    assert "orders of" in lines[0]
    assert f"history {START} to 2024-06-06: history.parquet" in lines
    assert any(line.startswith("nights 2024-06-07 to 2024-06-11") for line in lines)
    assert "2024-06-08: late_rows: 20% of that day's rows comes a day later" in lines


def test_so_many_orders_are_made_as_were_asked_for(capsys, tmp_path):
    code, said, _ = run(capsys, *SMALL, "--orders", "20000", "--out", str(tmp_path / "shop"), "--json")
    assert code == 0
    placed = pq.read_table(tmp_path / "shop" / "truth" / "orders.parquet", columns=["customer_id"])
    by_customer = placed.group_by("customer_id").aggregate([([], "count_all")])["count_all"].to_numpy()
    assert json.loads(said)["orders"] == by_customer.sum()
    # A Poisson number of customers with so many orders each: the squares add up. Four standard errors.
    assert abs(by_customer.sum() - 20_000) < 4 * np.sqrt(np.sum(by_customer.astype(float) ** 2))


def broken(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("kept")
    return tmp_path


BAD = {
    "out is a file": (("--out", "file"), ("file is there already", "remove it")),
    "out is not empty": (("--out", "full"), ("full is there already", "remove it")),
    "out can't be made": (("--out", "file/shop"), ("file/shop can't be made", "Not a directory")),
    "out's name is too long": (("--out", "x" * 300), ("can't be made", "File name too long")),
    "days beyond the calendar": (
        ("--nights", "5", "--incident", "late_rows@2024-06-08+9999999"),
        ("+9,999,999 days", "calendar"),
    ),
    "more nights than days": (("--nights", "61"), ("are 60 days", "61 nights")),
    "days the wrong way round": (("--start", "2024-06-12"), ("2024-06-11", "before it starts", "swap")),
    "no day": (("--end", "2024-06-31"), ("'2024-06-31'", "calendar")),
    "unknown incident": (("--incident", "late_row@2024-06-08"), ("'late_row'", "did you mean 'late_rows'?")),
    "incident in another form": (("--incident", "late_rows"), ("'late_rows'", "KIND@DATE[+DAYS][*SIZE]")),
    "incident without nights": (("--incident", "late_rows@2024-06-08"), ("late_rows@2024-06-08", "--nights")),
    "incident mended too late": (
        ("--nights", "5", "--incident", "late_rows@2024-06-10+3"),
        ("late_rows@2024-06-10+3", "2024-06-13", "2024-06-11"),
    ),
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_what_can_not_be_exits_2_in_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(broken(tmp_path))
    before = hashes(tmp_path)
    given = arguments if "--out" in arguments else ("--out", "shop", *arguments)
    code, said, complaint = run(capsys, *SMALL, *given)
    assert (code, said) == (2, "")
    assert len(complaint.strip().splitlines()) == 1
    assert complaint.startswith("mlops: ")
    for word in words:
        assert word in complaint
    assert hashes(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {"file", "full"}


def test_the_folder_that_one_is_in_is_filled_where_it_is_empty(capsys, tmp_path, monkeypatch, out, made):
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    code, _, complaint = run(capsys, *SMALL, "--out", ".")
    assert (code, complaint) == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
    assert (tmp_path / "shop" / "history.parquet").exists()


def test_a_full_disk_exits_3_in_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("include.steps.generate_orders.pq.write_table", full)
    code, said, complaint = run(capsys, *SMALL, "--out", str(tmp_path / "shop"))
    assert (code, said) == (3, "")
    assert len(complaint.strip().splitlines()) == 1
    assert "shop can't be written: [Errno 28] No space left on device" in complaint
    assert list(tmp_path.iterdir()) == []


def test_the_step_refuses_a_folder_that_is_there(tmp_path):
    with pytest.raises(UsageError, match="is there already; name a folder that is not, or remove it"):
        generate(broken(tmp_path) / "full")
