"""Importing orders into a real lake: accounts, repeats, merges, deliveries, crashes."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from include.adapters.deployment import Deployment
from include.adapters.lake.delta_lake import LakeAdapter
from include.adapters.sources import deliveries
from include.cli.orders import orders as orders_cli
from include.cli.sources import _told
from include.errors import MlopsError, UnreadableInputError, UsageError
from include.settings import Settings
from include.specs.sources import load_source
from include.steps.account_source import ImportAccount
from include.steps.import_source import import_delivery, import_file
from tests import raw_orders
from tests.everyday import members
from tests.real_data import real_data
from tests.unit.quality.orders_builder import AS_OF, SCHEMA, make_dirty_orders, make_orders, order, table

ORDERS, DELIVERIES, QUARANTINE = raw_orders.ORDERS.name, raw_orders.DELIVERIES.name, raw_orders.QUARANTINE.name
TABLES = (QUARANTINE, ORDERS, DELIVERIES)


@pytest.fixture
def deployment(tmp_path) -> Deployment:
    return Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / "home")}))


def _write(path: Path, rows: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)
    return path


def _deliver(deployment: Deployment, partition: str, *, done: bool = True, **files: pa.Table) -> Path:
    folder = deployment.settings.home / "landing" / "orders" / f"dt={partition}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        _write(folder / f"{name}.parquet", rows)
    if done:
        (folder / "_SUCCESS").touch()
    return folder


def _import(deployment: Deployment, path: Path, **options: object) -> ImportAccount:
    return import_file(deployment, path, source="orders", as_of=AS_OF, **options)  # type: ignore[arg-type]


def _state(deployment: Deployment) -> dict[str, tuple[int | None, str]]:
    lake = deployment.lake
    return {name: (lake.version(name), lake.digest(name)) for name in TABLES}


@pytest.mark.parametrize(
    ("counts", "days"),
    [
        # Of the file's 5,268 repeats 43 have no customer: those fall under the earlier rule.
        pytest.param((541_909, 135_080, 5_268, 5_225), 374, marks=pytest.mark.thorough),
        ((40_000, 13_989, 497, 495), 21),
    ],
    ids=["all", "three weeks"],
)
def test_real_orders_balance_every_count_is_what_pandas_counts_and_again_they_change_no_version(
    deployment, tmp_path, counts, days
):
    log = pq.read_table(real_data("online_retail/online_retail.parquet")).slice(0, counts[0])
    path = _write(tmp_path / "log.parquet", log)
    account = import_file(deployment, path, source="orders", file_format="online-retail", as_of=AS_OF)

    frame = log.to_pandas()
    no_customer = frame.CustomerID.isna()
    repeats = frame.duplicated() & ~no_customer
    assert (len(frame), no_customer.sum(), frame.duplicated().sum(), repeats.sum()) == counts
    taken = frame[~no_customer & ~repeats]
    assert {rule: n for rule, n in account.rules.items() if n} == {
        "customer_id_missing": counts[1],
        "duplicate_row": counts[3],
    }
    assert account.rows_in == counts[0] == account.rows_published + account.rows_quarantined
    assert account.rows_published == len(taken)
    assert account.counted["zero_price"] == (taken.UnitPrice == 0).sum()
    assert account.partitions == days

    rows = deployment.lake.read(ORDERS).to_pandas()
    assert len(rows) == len(taken)
    assert rows.quantity.sum() == taken.Quantity.sum()
    assert (rows.quantity * rows.unit_price).sum() == pytest.approx((taken.Quantity * taken.UnitPrice).sum(), rel=1e-12)
    assert (rows.kind == "cancellation").sum() == taken.InvoiceNo.str.startswith("C").sum()
    assert set(rows.customer_id) == set(taken.CustomerID)
    assert not rows.duplicated(["order_id", "line"]).any()
    assert rows.groupby("dt").size().to_dict() == taken.groupby(taken.InvoiceDate.dt.date).size().to_dict()

    before = {name: deployment.lake.version(name) for name in TABLES}
    again = import_file(deployment, path, source="orders", file_format="online-retail", as_of=AS_OF)
    assert {name: deployment.lake.version(name) for name in TABLES} == before
    assert (again.unchanged, again.added) == (account.rows_published, 0)


def test_account_by_day_sums_to_the_file_and_covers_days_without_orders(deployment, tmp_path):
    dirty = make_dirty_orders(seed=7)
    account = _import(deployment, _write(tmp_path / "orders.parquet", dirty))
    days = deployment.lake.read(DELIVERIES).to_pylist()
    assert account.rows_in == dirty.num_rows == sum(day["rows_in"] for day in days)
    assert account.rows_published == sum(day["rows_published"] for day in days)
    assert account.rows_quarantined == sum(day["rows_quarantined"] for day in days) == sum(account.rules.values())
    by_rule: dict[str, int] = {}
    for day in days:
        for rule, count in json.loads(day["rules"]).items():
            by_rule[rule] = by_rule.get(rule, 0) + count
    assert by_rule == {rule: n for rule, n in account.rules.items() if n}
    keys = sorted(day["dt"] for day in days)
    assert keys == [keys[0] + timedelta(days=n) for n in range(len(keys))]
    assert {day["delivered"] for day in days} == {None}


def test_day_without_orders_has_a_record_and_no_rows(deployment, tmp_path):
    rows = table(order(), order(order_id="A2", ordered_at=datetime(2026, 3, 4, tzinfo=UTC)))
    _import(deployment, _write(tmp_path / "orders.parquet", rows))
    assert deployment.lake.partitions(ORDERS) == ["2026-03-01", "2026-03-04"]
    records = deployment.lake.read(DELIVERIES).to_pylist()
    assert sorted((r["dt"].day, r["rows_in"]) for r in records) == [(1, 1), (2, 0), (3, 0), (4, 1)]


def test_quarantined_row_is_kept_as_it_came_with_its_rule_and_place(deployment, tmp_path):
    rows = table(order(), order(order_id="B", quantity=float("inf")), order(order_id="C", customer_id=None))
    _import(deployment, _write(tmp_path / "orders.parquet", rows.append_column("note", pa.array(["a", "b", 'c "d"']))))
    infinite, nobody = deployment.lake.read(QUARANTINE).sort_by("row_number").to_pylist()
    assert (infinite["row_number"], infinite["rule"]) == (2, "quantity_not_finite")
    assert (nobody["row_number"], nobody["rule"], nobody["dt"]) == (3, "customer_id_missing", date(2026, 3, 1))
    assert nobody["reason"] == "the row names no customer"
    assert json.loads(infinite["row"])["quantity"] == "inf"
    row = json.loads(nobody["row"])
    assert (row["order_id"], row["customer_id"], row["unit_price"], row["note"]) == ("C", None, 2.5, 'c "d"')
    assert nobody["source"].startswith("orders.parquet#")


def test_published_rows_are_sorted_and_known_at_the_end_of_their_day(deployment, tmp_path):
    _import(deployment, _write(tmp_path / "orders.parquet", make_orders(80, seed=1)))
    rows = deployment.lake.read(ORDERS, start="2026-03-02", end="2026-03-02").to_pylist()
    assert rows == sorted(rows, key=lambda r: (r["customer_id"], r["ordered_at"], r["order_id"], r["line"]))
    assert {r["received_at"] for r in rows} == {datetime(2026, 3, 3, tzinfo=UTC)}


def test_file_of_rejected_rows_only_is_kept_and_publishes_nothing(deployment, tmp_path):
    account = _import(deployment, _write(tmp_path / "orders.parquet", table(order(order_id=None))))
    assert (account.rows_in, account.rows_published, account.partitions, account.version) == (1, 0, 0, None)
    assert deployment.lake.read(QUARANTINE).num_rows == 1
    assert not deployment.lake.exists(DELIVERIES)


def test_two_files_of_one_day_are_merged_alike_in_either_order(tmp_path):
    early, late = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC)
    one = _write(tmp_path / "one.parquet", table(order(received_at=late, quantity=7), order(line=2, received_at=early)))
    two = _write(tmp_path / "two.parquet", table(order(received_at=early), order(line=3, received_at=early)))
    digests = []
    for name, files in {"ab": (one, two), "ba": (two, one)}.items():
        deployment = Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / name)}))
        for file in files:
            _import(deployment, file)
        rows = deployment.lake.read(ORDERS).sort_by("line").to_pylist()
        assert [(row["line"], row["quantity"]) for row in rows] == [(1, 7), (2, 2), (3, 2)]
        digests.append(deployment.lake.digest(ORDERS))
    assert digests[0] == digests[1]


def test_newer_version_that_moves_a_line_to_another_day_leaves_no_twin(deployment, tmp_path):
    moved = order(ordered_at=datetime(2026, 3, 6, tzinfo=UTC), received_at=datetime(2026, 3, 20, tzinfo=UTC))
    _import(deployment, _write(tmp_path / "old.parquet", table(order())))
    account = _import(deployment, _write(tmp_path / "new.parquet", table(moved)))
    assert account.replaced == 1
    assert [row["dt"] for row in deployment.lake.read(ORDERS).to_pylist()] == [date(2026, 3, 6)]
    stale = _import(deployment, tmp_path / "old.parquet")
    assert stale.superseded == 1
    assert [row["dt"] for row in deployment.lake.read(ORDERS).to_pylist()] == [date(2026, 3, 6)]


def test_rows_that_differ_without_being_newer_are_not_taken_and_said_so(deployment, tmp_path, caplog):
    at = datetime(2026, 3, 2, tzinfo=UTC)
    _import(deployment, _write(tmp_path / "one.parquet", table(order(received_at=at))))
    account = _import(deployment, _write(tmp_path / "two.parquet", table(order(quantity=9, received_at=at))))
    assert (account.conflicting, account.rows_published, account.rows_quarantined) == (1, 0, 1)
    assert deployment.lake.read(ORDERS)["quantity"].to_pylist() == [2]
    [loser] = deployment.lake.read(QUARANTINE).to_pylist()
    assert (loser["rule"], json.loads(loser["row"])["quantity"]) == ("conflicting", 9)
    assert "later received_at" in caplog.text


def test_a_correction_that_says_no_time_replaces_and_is_counted(deployment, tmp_path):
    _import(deployment, _write(tmp_path / "one.parquet", table(order(), order(line=2))))
    account = _import(deployment, _write(tmp_path / "two.parquet", table(order(quantity=9), order(line=2))))
    assert (account.replaced, account.unchanged, account.rows_published) == (1, 1, 2)
    assert deployment.lake.read(ORDERS).sort_by("line")["quantity"].to_pylist() == [9, 2]


def test_what_a_later_night_corrected_stays_when_the_earlier_one_is_delivered_again(deployment):
    _deliver(deployment, "2026-03-01", part=table(order()))
    _deliver(deployment, "2026-03-04", part=table(order(quantity=9)))
    accounts = [import_delivery(deployment, f"2026-03-0{day}", source="orders", cross_check=False) for day in (1, 4, 1)]
    assert [(a.added, a.replaced, a.superseded) for a in accounts] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    [row] = deployment.lake.read(ORDERS).to_pylist()
    assert (row["quantity"], row["received_at"]) == (9, datetime(2026, 3, 5, tzinfo=UTC))


def test_a_correction_that_breaks_a_rule_is_told_and_leaves_what_was_there(deployment, tmp_path, caplog):
    _import(deployment, _write(tmp_path / "one.parquet", table(order(), order(line=2))))
    wrong = table(order(unit_price=-1.0), order(line=3, unit_price=-1.0), order(line=2))
    account = _import(deployment, _write(tmp_path / "two.parquet", wrong))
    assert (account.rejected_corrections, account.rules["unit_price_negative"], account.unchanged) == (1, 2, 1)
    assert sum(record["rejected_corrections"] for record in deployment.lake.read(DELIVERIES).to_pylist()) == 1
    assert "which stays as it was" in caplog.text


def test_of_one_key_in_two_files_of_a_delivery_the_loser_is_kept_and_counted(deployment):
    rows = {"a": table(order(quantity=1), order(line=2)), "b": table(order(quantity=5), order(line=2))}
    _deliver(deployment, "2026-03-01", **rows)
    account = import_delivery(deployment, "2026-03-01", source="orders")
    assert (account.rows_in, account.rows_published, account.superseded) == (4, 2, 1)
    assert account.rules["duplicate_row"] == 1
    assert deployment.lake.read(ORDERS).sort_by("line")["quantity"].to_pylist() == [5, 2]
    lost = {row["rule"]: row["source"][0] for row in deployment.lake.read(QUARANTINE).to_pylist()}
    assert lost == {"superseded": "a", "duplicate_row": "b"}


def test_one_mistyped_date_does_not_say_that_the_days_before_it_arrived(deployment, tmp_path):
    typo = order(order_id="T", ordered_at=datetime(2026, 3, 28, tzinfo=UTC))
    rows = pa.concat_tables([make_orders(200, days=10), table(typo)])
    account = _import(deployment, _write(tmp_path / "orders.parquet", rows))
    assert (account.last, account.arrived_until) == ("2026-03-28", "2026-03-10")
    assert deliveries.delivered_days(deployment.lake, raw_orders.SOURCE)[-1] == "2026-03-10"
    _import(deployment, tmp_path / "orders.parquet", history_until="2026-03-28")
    assert deliveries.delivered_days(deployment.lake, raw_orders.SOURCE)[-1] == "2026-03-28"


@pytest.mark.parametrize("as_of", [AS_OF, datetime(2026, 3, 5, 23, 59, 59, tzinfo=UTC)])
def test_a_day_that_is_not_over_has_not_arrived_however_many_rows_it_has(deployment, tmp_path, as_of):
    _write(tmp_path / "orders.parquet", make_orders(400, days=5, start=as_of - timedelta(days=4, hours=23, minutes=59)))
    account = import_file(deployment, tmp_path / "orders.parquet", source="orders", as_of=as_of)
    whole = (as_of - timedelta(days=1)).date().isoformat()
    assert account.arrived_until == whole
    assert deliveries.delivered_days(deployment.lake, raw_orders.SOURCE)[-1] == whole


def test_a_history_until_a_day_before_all_rows_is_told_as_none_that_has_arrived(deployment, tmp_path):
    _write(tmp_path / "orders.parquet", make_orders(10, days=3))
    account = _import(deployment, tmp_path / "orders.parquet", history_until="2026-02-01")
    assert account.arrived_until is None
    assert f"to {account.last}; none of them has arrived (" in _told(account, load_source("orders"))


@pytest.mark.parametrize("day", ["2026-04-01", "2999-01-01"])
def test_a_history_until_a_day_that_is_not_over_is_refused(deployment, tmp_path, day):
    _write(tmp_path / "orders.parquet", make_orders(10))
    with pytest.raises(UsageError, match=f"history-until {day}: .* is not over by 2026-04-01"):
        _import(deployment, tmp_path / "orders.parquet", history_until=day)
    assert not any(deployment.lake.exists(each) for each in TABLES)


@pytest.mark.parametrize("name", ["readme.txt", "part.parquet.tmp", "deep/down.json"])
def test_a_file_that_is_not_read_refuses_the_delivery(deployment, name):
    folder = _deliver(deployment, "2026-03-01", a=make_orders(10, days=1))
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    with pytest.raises(UnreadableInputError, match=name.rsplit("/", 1)[-1]):
        import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert not any(deployment.lake.exists(each) for each in TABLES)


STRANGERS = {
    "a link to nowhere": lambda folder: (folder / "b.csv").symlink_to(folder / "gone.csv"),
    "a deep link to nowhere": lambda folder: (folder / "deep" / "b.csv").symlink_to("gone.csv"),
    "a pipe": lambda folder: os.mkfifo(folder / "b.csv"),
    "a name that is no text": lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff_b.csv")).touch(),
    "a column in a folder's name": lambda folder: _write(
        folder / "country=GB" / "b.parquet", table(order(order_id="B")).drop_columns("country")
    ),
}


@pytest.mark.parametrize("add", STRANGERS.values(), ids=STRANGERS)
def test_what_would_be_left_out_without_a_word_refuses_the_delivery(deployment, add):
    folder = _deliver(deployment, "2026-03-01", a=make_orders(10, days=1))
    (folder / "deep").mkdir()
    add(folder)
    with pytest.raises(UnreadableInputError, match=r"b\.csv|country=GB"):
        import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert not any(deployment.lake.exists(each) for each in TABLES)


def test_nested_parts_are_read_and_hidden_ones_are_not(deployment):
    folder = _deliver(deployment, "2026-03-01", a=make_orders(10, days=1))
    _write(folder / "country=GB" / "b.parquet", table(order(order_id="B")))
    _write(folder / "_temporary" / "c.parquet", table(order(order_id="C")))
    (folder / ".b.crc").write_text("x")
    assert import_delivery(deployment, "2026-03-01", source="orders", cross_check=False).rows_published == 11


def test_an_empty_day_is_one_whose_success_is_alone_or_says_so(deployment):
    folder = _deliver(deployment, "2026-03-01")
    _write(folder / "_temporary" / "c.parquet", table(order(order_id="C")))
    with pytest.raises(UnreadableInputError, match="_temporary"):
        import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    (folder / "_SUCCESS").write_text("empty\n")
    assert import_delivery(deployment, "2026-03-01", source="orders", cross_check=False).rows_in == 0


@pytest.mark.parametrize("failing", members([ORDERS, QUARANTINE, DELIVERIES], daily=[DELIVERIES]))
def test_crash_between_commits_is_completed_by_a_rerun(deployment, tmp_path, monkeypatch, failing):
    path = _write(tmp_path / "orders.parquet", make_dirty_orders(seed=2))
    expected = Deployment(Settings.from_env({"MLOPS_HOME": str(tmp_path / "other")}))
    _import(expected, path)
    real = LakeAdapter.rewrite

    def crash(self, table_, *args, **kwargs):
        if table_ == failing:
            raise OSError("power failure")
        return real(self, table_, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(LakeAdapter, "rewrite", crash)
        with pytest.raises(OSError, match="power failure"):
            _import(deployment, path)
    assert not deployment.lake.exists(DELIVERIES)
    _import(deployment, path)
    assert {t: deployment.lake.digest(t) for t in TABLES} == {t: expected.lake.digest(t) for t in TABLES}


@pytest.mark.parametrize("fault", ["missing-column", "wrong-type", "truncated", "format", "time-zone", "naive-as-of"])
def test_fault_of_the_whole_file_changes_nothing(deployment, tmp_path, fault):
    rows = make_orders(20)
    path = _write(tmp_path / "orders.parquet", rows.drop_columns("line") if fault == "missing-column" else rows)
    if fault == "wrong-type":
        _write(path, rows.set_column(7, "unit_price", pa.array(["2.5"] * 20)))
    if fault == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UsageError) as caught:
        import_file(
            deployment,
            path,
            source="orders",
            file_format="canonicl" if fault == "format" else "canonical",
            as_of=AS_OF.replace(tzinfo=None) if fault == "naive-as-of" else AS_OF,
            time_zone="Europe/Londom" if fault == "time-zone" else "UTC",
        )
    assert caught.value.exit_code == 2
    assert not any(deployment.lake.exists(name) for name in TABLES)


def test_delivery_is_judged_as_of_the_end_of_its_day_and_cross_checked(deployment):
    in_time, future = datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2, 0, 0, 1, tzinfo=UTC)
    rows = table(order(ordered_at=in_time - timedelta(seconds=1)), order(order_id="F", ordered_at=future))
    _deliver(deployment, "2026-03-01", part=rows)
    account = import_delivery(deployment, "2026-03-01", source="orders")
    assert (account.rows_published, account.rules["ordered_at_after_as_of"]) == (1, 1)
    [rejected] = deployment.lake.read(QUARANTINE).to_pylist()
    assert rejected["delivered"] == "2026-03-01"


def test_delivery_of_several_files_is_one_commit_a_table_and_repeats_without_any(deployment):
    whole = make_orders(60, seed=4, days=1)
    _deliver(deployment, "2026-03-01", a=whole[:30], b=whole[30:])
    account = import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert (account.rows_in, account.rows_published) == (60, 60)
    before = _state(deployment)
    assert {version for version, _ in before.values()} == {0}
    import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert _state(deployment) == before
    records = deployment.lake.read(DELIVERIES).to_pylist()
    assert [(r["delivered"], r["rows_in"]) for r in records] == [("2026-03-01", 30)] * 2


def test_late_row_of_another_day_does_not_say_that_that_days_delivery_arrived(deployment):
    late = order(
        order_id="L", ordered_at=datetime(2026, 3, 1, 9, tzinfo=UTC), received_at=datetime(2026, 3, 5, tzinfo=UTC)
    )
    today = order(ordered_at=datetime(2026, 3, 5, 9, tzinfo=UTC))
    _deliver(deployment, "2026-03-05", part=table(late, today))
    import_delivery(deployment, "2026-03-05", source="orders", cross_check=False)
    records = deployment.lake.read(DELIVERIES).to_pylist()
    assert sorted((r["dt"].day, r["delivered"], r["rows_in"]) for r in records) == [
        (1, "2026-03-05", 1),
        (5, "2026-03-05", 1),
    ]
    assert deployment.lake.partitions(ORDERS) == ["2026-03-01", "2026-03-05"]


@pytest.mark.parametrize("files", [{}, {"part": SCHEMA.empty_table()}], ids=["no-file", "no-rows"])
def test_complete_delivery_without_orders_is_a_day_that_arrived(deployment, files):
    _deliver(deployment, "2026-03-01", **files)
    account = import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert (account.rows_in, account.partitions) == (0, 1)
    [record] = deployment.lake.read(DELIVERIES).to_pylist()
    assert (record["dt"], record["rows_in"]) == (date(2026, 3, 1), 0)
    assert deployment.lake.read(ORDERS).num_rows == 0
    before = _state(deployment)
    import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert _state(deployment) == before


@pytest.mark.parametrize("partition", ["2026-03-01", "2026-03-02"], ids=["no-success", "no-folder"])
def test_incomplete_delivery_is_refused_and_changes_nothing(deployment, partition):
    _deliver(deployment, "2026-03-01", done=False, part=make_orders(4))
    with pytest.raises(MlopsError, match="_SUCCESS"):
        import_delivery(deployment, partition, source="orders")
    assert not any(deployment.lake.exists(name) for name in TABLES)


def test_one_unreadable_file_stops_the_whole_delivery(deployment):
    folder = _deliver(deployment, "2026-03-01", a=make_orders(10, days=1))
    (folder / "b.parquet").write_bytes(b"PAR1")
    with pytest.raises(UnreadableInputError, match=r"b\.parquet"):
        import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert not any(deployment.lake.exists(name) for name in TABLES)


def test_delivery_may_name_its_format(deployment):
    frame = {
        "InvoiceNo": ["1", "C2"], "StockCode": ["a", "a"], "Quantity": [1, -1], "UnitPrice": [1.0, 1.0],
        "InvoiceDate": pa.array([datetime(2026, 3, 1, 9, tzinfo=UTC)] * 2),
        "CustomerID": ["7", "7"], "Country": ["x", "x"],
    }  # fmt: skip
    folder = _deliver(deployment, "2026-03-01", part=pa.table(frame))
    (folder / "_FORMAT").write_text("online-retail\n")
    import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    assert sorted(deployment.lake.read(ORDERS)["kind"].to_pylist()) == ["cancellation", "sale"]
    (folder / "_FORMAT").write_text("online_retail\n")
    with pytest.raises(UsageError, match="did you mean 'online-retail'"):
        import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    yield f"http://127.0.0.1:{port}"
    server.stop()


def test_delivery_on_s3_is_imported_as_one_on_disk(bucket, tmp_path):
    settings = {"MLOPS_HOME": str(tmp_path), "MLOPS_LANDING_URI": "s3://landing", "AWS_ENDPOINT_URL": bucket}
    deployment = Deployment(Settings.from_env(settings))
    s3 = fs.S3FileSystem(endpoint_override=bucket, allow_bucket_creation=True)
    s3.create_dir("landing")
    pq.write_table(make_orders(20, days=1), "landing/orders/dt=2026-03-01/part.parquet", filesystem=s3)
    with pytest.raises(MlopsError, match="_SUCCESS"):
        import_delivery(deployment, "2026-03-01", source="orders", cross_check=False)
    with s3.open_output_stream("landing/orders/dt=2026-03-01/_SUCCESS") as marker:
        marker.write(b"")
    assert import_delivery(deployment, "2026-03-01", source="orders", cross_check=False).rows_published == 20


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_another_version_of_the_project_made_is_told_before_a_row_is_written(deployment, tmp_path, table):
    made = pa.table({"dt": pa.array([date(2026, 3, 1)]), "source": ["f"], "month": ["2026-03"], "other": ["x"]})
    deployment.lake.replace(table, made, keys=["x"], partition_by="other")
    before = deployment.lake.version(table)
    path = _write(tmp_path / "orders.parquet", make_orders(80, seed=1))
    with pytest.raises(MlopsError, match=f"lake table {table} is partitioned by other, .*make a new home"):
        _import(deployment, path)
    others = set(TABLES) - {table}
    assert [deployment.lake.version(name) for name in others] == [None] * len(others)
    assert deployment.lake.version(table) == before


def test_unreachable_s3_is_one_clear_message(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    settings = {
        "MLOPS_HOME": str(tmp_path),
        "MLOPS_LANDING_URI": "s3://landing",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    with pytest.raises(MlopsError, match="check MLOPS_LANDING_URI"):
        import_delivery(Deployment(Settings.from_env(settings)), "2026-03-01", source="orders")


def test_command_prints_one_json_object_that_balances(tmp_path, monkeypatch):
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLOPS_LAKE_URI", raising=False)
    path = _write(tmp_path / "orders.parquet", make_dirty_orders(seed=5))
    arguments = ["import", str(path), "--format", "canonical", "--as-of", "2026-04-01", "--json"]
    result = CliRunner().invoke(orders_cli, arguments, catch_exceptions=False)
    account = json.loads(result.stdout)
    assert account["rows_in"] == account["rows_published"] + account["rows_quarantined"]
    assert account["rows_quarantined"] == sum(account["rules"].values()) > 0
    assert result.exit_code == 0


def test_command_refuses_a_time_that_is_none(tmp_path):
    arguments = ["import", str(tmp_path / "x.csv"), "--format", "canonical", "--as-of", "tomorrow"]
    with pytest.raises(UsageError, match="--as-of 'tomorrow'"):
        CliRunner().invoke(orders_cli, arguments, catch_exceptions=False)
