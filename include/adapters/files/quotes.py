"""Whether the quoted values of a CSV are closed, a block of its bytes at a time.

What belongs here: that one question, which tells a truncated file. What does not: parsing records.
"""

from __future__ import annotations

import re

# A quote opens a value at its beginning only, after a byte order mark too, and closes it where it isn't doubled.
_MARK = b"\xef\xbb\xbf"
_FIRST = rb'(?:(?<=\A")|(?<=\A\xef\xbb\xbf")|(?<=[,\r\n]"))'
_LATER = rb'(?<=[,\r\n]")'
_OUTSIDE = rb'(?:[^"]++|"(?!%b)|"%b[^"]*+(?:""[^"]*+)*+")*+'
_FROM_BEGINNING, _FROM_BLOCK = (re.compile(_OUTSIDE % (opens, opens)) for opens in (_FIRST, _LATER))
_INSIDE = re.compile(rb'[^"]*+(?:""[^"]*+)*+')


class QuoteScan:
    r"""What was seen of a CSV so far: `add` its blocks in order, then ask `is_closed`.

    Examples
    --------
    >>> scan = QuoteScan()
    >>> for block in (b'id,note\n1,"a', b'"', b'"b"\n'):
    ...     scan.add(block)
    >>> scan.is_closed()
    True
    """

    def __init__(self) -> None:
        # The byte before the quotes that end what was seen, and these: more of them may come.
        self._before, self._quotes = b"", b""
        self._is_inside = False
        self._scan = _FROM_BEGINNING

    def add(self, block: bytes) -> None:
        """Look at the next bytes."""
        known = self._before + self._quotes + block
        whole = known.rstrip(b'"')
        if _MARK.startswith(whole):
            self._before = whole
        elif len(whole) > len(self._before):
            self._is_inside = self._ends_inside(whole)
            self._scan, self._before = _FROM_BLOCK, whole[-1:]
        else:
            whole = self._before
        self._quotes = known[len(whole) :]

    def is_closed(self) -> bool:
        """Say whether no value is open where the bytes end."""
        return not self._ends_inside(self._before + self._quotes)

    def _ends_inside(self, known: bytes) -> bool:
        at = len(self._before)
        if self._is_inside:
            at = _end(_INSIDE, known, at)
            if at == len(known):
                return True
            # The quote that closes the value.
            at += 1
        return _end(self._scan, known, at) < len(known)


def _end(pattern: re.Pattern[bytes], known: bytes, at: int) -> int:
    found = pattern.match(known, at)
    return found.end() if found else at
