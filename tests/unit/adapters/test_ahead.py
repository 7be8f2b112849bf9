"""Work that goes on while the next of a sequence is read."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from include.adapters.ahead import ahead


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_order_is_kept_and_no_more_is_read_than_is_held(threads):
    read, seen = [], []

    def items() -> Iterator[int]:
        for number in range(20):
            read.append(number)
            yield number

    for number in ahead(lambda item: item, items(), threads=threads):
        seen.append(number)
        assert len(read) - len(seen) <= threads + 1
    assert seen == list(range(20))


def test_the_next_is_read_while_one_is_made():
    is_next_read = threading.Event()

    def items() -> Iterator[int]:
        yield 0
        is_next_read.set()
        yield 1

    assert list(ahead(lambda item: is_next_read.wait(10) and item, items())) == [0, 1]


def test_one_thread_makes_one_after_the_other():
    running, most = 0, 0
    lock = threading.Lock()

    def make(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1
        return item

    assert list(ahead(make, range(20))) == list(range(20))
    assert most == 1


def test_what_is_raised_by_the_work_is_raised_here_and_nothing_runs_on():
    made = []

    def make(item: int) -> int:
        if item == 3:
            raise OSError("no room")
        made.append(item)
        return item

    with pytest.raises(OSError, match="no room"):
        list(ahead(make, range(1000)))
    assert set(made) <= {0, 1, 2, 4}


def test_what_is_raised_by_the_sequence_waits_for_the_work():
    made = []

    def items() -> Iterator[int]:
        yield 0
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(ahead(made.append, items()))
    assert made in ([], [0])
