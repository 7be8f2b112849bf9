"""Quotes that are closed, however a file's bytes come."""

from __future__ import annotations

import random

import pytest

from include.adapters.files.quotes import QuoteScan

CLOSED = [
    b"",
    b"a,b\n",
    b'"a"',
    b'a\n"x, ""y"""\n',
    b'a"b\n',
    b'\xef\xbb\xbf"a"\n',
    b'"a"x"\n',
    b'a,""\n',
    b'5",6"\n',
    b'""',
]
OPEN = [b'"', b'a\n"x', b'a,"x""', b'\xef\xbb\xbf"a', b'"a"\n"b\nc', b'a,"x"""\n"', b'"""', b'"a""\n']


def is_closed(*blocks: bytes) -> bool:
    scan = QuoteScan()
    for block in blocks:
        scan.add(block)
    return scan.is_closed()


@pytest.mark.parametrize("content", [*CLOSED, *OPEN])
def test_a_value_that_is_open_at_the_end_is_told_wherever_the_blocks_end(content: bytes) -> None:
    expected = content in CLOSED
    assert is_closed(content) is expected
    assert is_closed(*(bytes([byte]) for byte in content)) is expected
    for cut in range(len(content)):
        assert is_closed(content[:cut], content[cut:]) is expected, cut


@pytest.mark.parametrize("seed", range(5))
def test_blocks_of_any_size_say_what_the_whole_says(seed: int) -> None:
    rng = random.Random(seed)
    found = set()
    for _ in range(2_000):
        signs = [b'"', b'"', b",", b"\n", b"\r", b"a", b'""', b"\xef\xbb\xbf"]
        content = b"".join(rng.choice(signs) for _ in range(rng.randrange(14)))
        cuts = sorted(rng.randrange(len(content) + 1) for _ in range(rng.randrange(5)))
        blocks = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
        assert is_closed(*blocks) is is_closed(content), blocks
        found.add(is_closed(content))
    assert found == {True, False}
