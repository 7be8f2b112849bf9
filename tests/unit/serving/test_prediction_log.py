"""The way of answered rows to the lake: none twice, and none lost that is not counted."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as fs
import pytest
from moto.server import ThreadedMotoServer

from include.adapters.lake.delta_lake import LakeAdapter
from include.errors import MlopsError
from include.serving.committing import Attempt
from include.serving.lake_sink import LakeSink
from include.serving.log_rows import Noted, RowSource
from include.serving.online_versions import OnlineVersions
from include.serving.prediction_log import PredictionLog
from include.serving.staged_chunks import ChunkWriter, ProcessFolder, StagedChunk
from include.serving.staging import LogLimits
from include.serving.tally import Tally
from include.tables import OF_NOBODY, online_vectors_table
from tests.unit.serving.answered import ASKED_AT_US, make_answerer, make_exchange, make_source

TABLE = online_vectors_table("churn", ("customer_id",), OF_NOBODY)
QUICK = LogLimits(stage_seconds=0.01, chunk_seconds=0.02)


@dataclass
class Lake:
    """A lake that may be down, and one that may not tell that it took something."""

    path: Path
    is_down: bool = False
    is_silent: bool = False
    asked: int = 0
    calls: int = 0

    def __post_init__(self) -> None:
        self.adapter = LakeAdapter(self.path.as_uri())
        self.sink = LakeSink(self.adapter)

    def has(self, source: RowSource, number: int) -> bool:
        self.asked += 1
        if self.is_down:
            raise MlopsError("the lake is down")
        return self.sink.has(source, number)

    def add(self, source: RowSource, rows: pa.Table, number: int) -> None:
        self.calls += 1
        self.sink.add(source, rows, number)
        if self.is_silent:
            raise MlopsError("nobody answers")

    def rows(self) -> list[dict]:
        return self.adapter.read(TABLE.name).to_pylist() if self.adapter.exists(TABLE.name) else []


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def online(versions: dict[str, int] | None = None) -> OnlineVersions:
    times = iter(range(ASKED_AT_US - 10, 2 * ASKED_AT_US, 1_000_000))
    return OnlineVersions(lambda _: (versions or {"features/x": 3}, {"features/x": 3}), lambda: next(times))


def open_log(tmp_path: Path, lake: Lake, *, process: str = "p", limits: LogLimits = QUICK, share: float = 1.0):
    log = PredictionLog(process, tmp_path / "staged", lake, online(), limits)
    tally = Tally("churn", 1, "champion")
    log.add_source(tally, make_source(process), share=share)
    return log, tally


def answer(log: PredictionLog, tally: Tally, number: int, *, rows: int = 1, **scored: object) -> None:
    exchange = make_exchange(number, [make_answerer(tally)] * rows, **scored)
    log.offer(Noted(tally, exchange, 120 + number, tally.answer(rows, 120 + number), exchange.scored), rows)


def until(holds: Callable[[], bool], *, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.01)
    assert holds()


def numbers(rows: list[dict]) -> list[int]:
    return sorted(row["sequence_number"] for row in rows)


def test_every_row_is_in_the_lake_once_as_it_was_answered(tmp_path: Path, lake: Lake):
    log, tally = open_log(tmp_path, lake)
    log.start()
    for number in range(300):
        answer(log, tally, number, rows=1 + number % 3)
    log.stop()

    rows = sorted(lake.rows(), key=lambda row: row["sequence_number"])
    assert numbers(rows) == list(range(1, 601))
    assert [(row["request_id"], row["request_row"]) for row in rows[:4]] == [("r0", 0), ("r1", 0), ("r1", 1), ("r2", 0)]
    first, second = rows[1], rows[2]
    assert (first["customer_id"], first["model_version"], first["role"]) == ("c1.0", 1, "champion")
    assert np.float32(first["a"]) == np.float32(1.1)
    assert np.signbit(np.float32(first["b"]))
    assert second["b"] is None
    assert (first["score"], first["decision"], first["latency_us"]) == (0.5, True, 121)
    assert (first["standing"], first["vector_source"], first["is_answer"]) == ("scored", "store", True)
    assert json.loads(first["table_versions"]) == {"features/x": 3}
    assert str(first["dt"]) == "2026-01-01"
    account = log.account()
    assert (account.offered, account.committed, account.buffered, account.staged, account.dropped) == (
        600,
        600,
        0,
        0,
        0,
    )
    assert list((tmp_path / "staged").iterdir()) == []


@pytest.mark.parametrize(
    ("scored", "at", "source", "is_audited"),
    [
        ({}, None, "store", True),
        ({}, datetime(2026, 1, 1, tzinfo=UTC), "store", False),
        ({"is_given": True}, None, "given", False),
        ({"row": None}, None, "given", False),
        ({"row": None, "vector": None, "score": None, "fallback": "default"}, None, None, False),
        ({"vector": None, "score": None}, None, None, False),
    ],
    ids=["read", "as of a day", "in part given", "given", "store down", "not asked about"],
)
def test_only_what_the_store_had_now_is_held_against_the_truth(tmp_path, lake, scored, at, source, is_audited):
    log, tally = open_log(tmp_path, lake)
    log.start()
    answer(log, tally, 1, at=at, **scored)
    log.stop()

    (row,) = lake.rows()
    assert row["vector_source"] == source
    assert (row["table_versions"] is not None) == is_audited
    assert row["fallback"] == scored.get("fallback")


def test_while_the_lake_is_down_chunks_wait_unread_and_then_all_are_in_it_once(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
):
    lake.is_down = True
    rows, read = StagedChunk.rows, []
    monkeypatch.setattr(StagedChunk, "rows", lambda chunk: read.append(lake.is_down) or rows(chunk))
    log, tally = open_log(tmp_path, lake)
    log.start()
    other = Tally("churn", 2, "challenger")
    log.add_source(other, make_source("p", version=2, role="challenger"), share=1.0)
    for number in range(200):
        answer(log, tally if number % 2 else other, number)
        time.sleep(0.001)
    until(lambda: log.account().buffered == 0 and lake.asked > 0)
    waiting = ProcessFolder(tmp_path / "staged" / "p").chunks()
    tried = Lake(tmp_path / "lake", is_down=True)
    Attempt(tried, online()).commit(ProcessFolder(tmp_path / "staged" / "p"))
    assert {chunk.of for chunk in waiting} == {"churn-1", "churn-2"}
    assert tried.asked == 1
    assert (log.account().staged, log.account().committed) == (200, 0)
    lake.is_down = False
    until(lambda: log.account().committed == 200)
    log.stop()
    assert numbers(lake.rows()) == sorted([*range(1, 101)] * 2)
    assert read
    assert True not in read


def test_a_chunk_whose_commit_nobody_confirmed_is_in_the_lake_once(tmp_path: Path, lake: Lake):
    lake.is_silent = True
    log, tally = open_log(tmp_path, lake)
    log.start()
    answer(log, tally, 1, rows=5)
    until(lambda: log.account().committed == 5)
    log.stop()
    assert numbers(lake.rows()) == [1, 2, 3, 4, 5]
    assert (lake.calls, lake.asked) == (1, 2)


def test_a_table_that_is_gone_is_not_made_anew_where_it_was(tmp_path: Path, lake: Lake):
    log, tally = open_log(tmp_path, lake)
    log.start()
    answer(log, tally, 1)
    log.stop()
    lake.path.rename(tmp_path / "elsewhere")
    with pytest.raises(MlopsError, match="is not any more; bring it back"):
        lake.has(make_source("p"), 2)


def test_no_thread_stands_still_while_the_lake_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    # It answers from this process: who keeps Python's lock until there is an answer gets none.
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        address = f"http://{host}:{port}"
        fs.S3FileSystem(endpoint_override=address, allow_bucket_creation=True).create_dir("log")
        once = {"timeout": "5s", "max_retries": "0"}
        adapter = LakeAdapter("s3://log/root", {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", **once})
        sink, source = LakeSink(adapter), make_source("p")
        rows = pa.table({"asked_at": [datetime.fromtimestamp(ASKED_AT_US / 1e6, UTC)], "sequence_number": [1]})

        assert not sink.has(source, 1)
        sink.add(source, rows, 1)
        assert sink.has(source, 1)
        sink.add(source, rows, 1)
        assert adapter.read(TABLE.name, columns=["sequence_number"])["sequence_number"].to_pylist() == [1]
    finally:
        server.stop()


def test_what_finds_no_room_is_counted_and_what_came_first_is_kept(tmp_path: Path, lake: Lake):
    log, tally = open_log(tmp_path, lake, limits=LogLimits(buffered_rows=100, stage_seconds=0.2, chunk_seconds=0.2))
    for number in range(130):
        answer(log, tally, number)
    log.start()
    until(lambda: log.account().buffered == 0)
    answer(log, tally, 130)
    log.stop()

    account = log.account()
    assert (account.offered, account.dropped, tally.dropped) == (131, 30, 30)
    assert numbers(lake.rows()) == [*range(1, 101), 131]


def test_the_disk_is_bounded_too_for_all_processes_together(
    tmp_path: Path, lake: Lake, caplog: pytest.LogCaptureFixture
):
    lake.is_down = True
    beside = ProcessFolder(tmp_path / "staged" / "beside")
    assert beside.take()
    (beside.path / "0000000001-churn-1.open").write_bytes(bytes(8_000))
    log, tally = open_log(tmp_path, lake, limits=LogLimits(stage_seconds=0.01, chunk_seconds=0.01, staged_bytes=20_000))
    log.start()
    for number in range(60):
        answer(log, tally, number, rows=20)
        until(lambda: log.account().buffered == 0)
    mine = sum(path.stat().st_size for path in (tmp_path / "staged" / "p").glob("*-*"))
    lake.is_down = False
    log.stop()

    account = log.account()
    assert 0 < account.dropped < 1200
    # The rows of one look are all that may be above it.
    assert 12_000 <= mine < 17_000
    assert "20,000 bytes that may wait for the lake" in caplog.text
    assert account.committed == 1200 - account.dropped
    assert numbers(lake.rows()) == list(range(1, account.committed + 1))


def test_a_sample_is_of_entities_and_the_same_in_every_process(tmp_path: Path, lake: Lake):
    for process in ("p", "q"):
        log, tally = open_log(tmp_path, lake, process=process, share=0.3)
        log.start()
        for number in range(400):
            answer(log, tally, number)
        log.stop()
        account = log.account()
        assert account.left_out + account.committed == 400
    kept = [(row["service_process"], row["customer_id"]) for row in lake.rows()]
    of_p, of_q = ({entity for process, entity in kept if process == each} for each in ("p", "q"))
    assert of_p == of_q
    assert 80 < len(of_p) < 160


KILLED = """
import sys, time
from pathlib import Path
from tests.unit.serving.test_prediction_log import Lake, LogLimits, answer, open_log

folder = Path(sys.argv[1])
lake = Lake(folder / "lake", is_down=True)
log, tally = open_log(folder, lake, process="killed", limits=LogLimits(stage_seconds=0.05, chunk_seconds=0.2))
log.start()
number = 0
while True:
    answer(log, tally, number)
    number += 1
    if log.account().staged > 300:
        print(tally.sequence, flush=True)
        for _ in range(50):
            answer(log, tally, number)
        print(tally.sequence, flush=True)
        time.sleep(60)
    time.sleep(0.0005)
"""


def test_of_a_process_that_is_killed_the_next_one_commits_what_was_staged_and_counts_the_rest(
    tmp_path: Path, lake: Lake, caplog: pytest.LogCaptureFixture
):
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        answered = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)

    log, _ = open_log(tmp_path, lake, process="next")
    log.start()
    until(lambda: not (tmp_path / "staged" / "killed").exists())
    log.stop()

    staged = numbers(lake.rows())
    assert staged == list(range(1, len(staged) + 1))
    assert len(staged) > 300
    assert log.account().lost == answered - len(staged)
    assert f"{answered - len(staged)} rows are lost" in caplog.text


def test_a_process_that_lives_is_left_alone(tmp_path: Path, lake: Lake):
    lake.is_down = True
    living, tally = open_log(tmp_path, lake, process="living")
    living.start()
    answer(living, tally, 1)
    until(lambda: living.account().staged == 1)
    other, _ = open_log(tmp_path, lake, process="other")
    other.start()
    other.stop()
    assert living.account().staged == 1
    assert not ProcessFolder(tmp_path / "staged" / "living").take()
    lake.is_down = False
    living.stop()
    assert numbers(lake.rows()) == [1]


def test_a_version_whose_rows_the_lake_refuses_holds_up_no_other(tmp_path: Path, lake: Lake):
    log, tally = open_log(tmp_path, lake)
    other = Tally("churn", 2, "challenger")
    log.add_source(other, make_source("p", version=2, role="challenger"), share=1.0)
    add = lake.add

    def refuse(source: RowSource, rows: pa.Table, number: int) -> None:
        if source.version == 1:
            raise MlopsError("it can't hold them")
        add(source, rows, number)

    lake.add = refuse
    log.start()
    answer(log, tally, 1)
    answer(log, other, 2)
    until(lambda: log.account().committed == 1)
    lake.add = add
    log.stop()
    assert {row["model_version"] for row in lake.rows()} == {1, 2}


def test_versions_are_certain_only_between_two_looks_that_agree_with_the_lake():
    looks = iter([({"x": 1}, {"x": 1}), ({"x": 1}, {"x": 1}), ({"x": 1}, {"x": 2}), ({"x": 2}, {"x": 2})])
    times = iter([10, 20, 30, 40])
    versions = OnlineVersions(lambda _: next(looks), lambda: next(times))
    for _ in range(4):
        versions.look("s")
    found = versions.at("s", np.array([5, 10, 15, 25, 35, 45])).to_pylist()
    assert found == [None, '{"x": 1}', '{"x": 1}', None, None, None]
    assert versions.at("another", np.array([15])).to_pylist() == [None]


def test_a_chunk_that_the_disk_had_no_room_for_the_beginning_of_goes(tmp_path: Path):
    folder = ProcessFolder(tmp_path / "p")
    assert folder.take()
    writer = ChunkWriter(folder.path, 1, make_source("p"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        writer.abandon()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert folder.chunks() == []
