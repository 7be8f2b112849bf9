"""Where the records of a text file break the rules, and how: one record after the other, value by value.

What belongs here: the grammar of records, in words that a person can act on. What does not: reading records fast
(``records``), which asks here only once it knows that a block is broken; a test holds the two to one grammar.

A record ends at a line's end, or where the file does: LF or CRLF, or CR in a file whose names end so; elsewhere a CR
alone is a part of a value that somebody forgot to quote, and breaks the rules. Values stand between delimiters. One
that begins with a quote ends with the next quote that isn't doubled, and a delimiter or the record's end follows; any
other value holds no quote. Every record has as many values as there are names; an empty line is no record, unless
there is only one name: then it is one without a value. There is no NUL, and every byte is of the encoding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from include.adapters.files.text_bytes import UNDECODED

_QUOTED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+')
_LINE_END = re.compile(rb"\r\n|\r|\n")
_SHOWN = 40


@dataclass(frozen=True)
class Fault:
    """What is wrong with a record.

    Attributes
    ----------
    row : int
        Its place among the rows, from 1 on; 0: it is the line of names.
    line : int
        The line of the file in which the fault is, from 1 on.
    found, remedy : str
        In words.
    """

    row: int
    line: int
    found: str
    remedy: str

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"line {self.line}, the names" if self.row == 0 else f"data row {self.row} (line {self.line})"


class _BrokenError(Exception):
    """A record can't be read; at which byte, why, and what helps."""

    def __init__(self, at: int, found: str, remedy: str) -> None:
        super().__init__(found)
        self.at, self.found, self.remedy = at, found, remedy


@dataclass(frozen=True)
class Span:
    """A record's bytes, without its line's end, and how many values it has."""

    start: int
    end: int
    values: int


class Grammar:
    """What a record is, with a delimiter, and as the names end: by a CR alone or not."""

    def __init__(self, delimiter: str, *, has_lone_cr: bool = True) -> None:
        self._has_lone_cr = has_lone_cr
        self._delimiter = delimiter.encode()
        self._plain = re.compile(rb'[^"\r\n%b]*+' % re.escape(self._delimiter))

    def first_record(self, block: bytes) -> Span | None:
        """Return the record that a block begins with; None where it is broken."""
        try:
            return self._record(block, 0)
        except _BrokenError:
            return None

    def widths(self, block: bytes, *, most: int) -> list[int]:
        """Return how many values each of the first records of a block has, up to one that is broken."""
        at, found = 0, list[int]()
        while at < len(block) and len(found) < most:
            if empty := _LINE_END.match(block, at):
                at = empty.end()
                continue
            try:
                span = self._record(block, at)
            except _BrokenError:
                break
            found.append(span.values)
            at = span.end
        return found

    def find_fault(self, block: bytes, width: int | None, *, rows: int, lines: int, encoding: str) -> Fault | None:
        """Return the first fault of the records of a block; None where there is none.

        Parameters
        ----------
        block : bytes
            Begins where a record does, and ends where one does or the file.
        width : int or None
            How many names there are; None: the block is the line of names.
        rows, lines : int
            Those before the block.
        encoding : str
            For the message.
        """
        whole, at = rows, 0
        while at < len(block):
            try:
                span = self._record(block, at)
                at = self._next_record(block, span)
                if span.start == span.end and width != 1:
                    continue
                _check_bytes(block, span, encoding)
                _check_width(span, width)
            except _BrokenError as err:
                row = 0 if width is None else whole + 1
                return Fault(row, lines + 1 + count_lines(block[: err.at]), err.found, err.remedy)
            whole += 1
        return None

    def _next_record(self, block: bytes, span: Span) -> int:
        ended = _LINE_END.match(block, span.end)
        after = ended.end() if ended else span.end
        if not self._has_lone_cr and after < len(block) and block[span.end : after] == b"\r":
            raise _BrokenError(
                span.end,
                f"a carriage return within a value without quotes ({_shown(block, span.start, span.end)})",
                "put values that hold a line's end into quotes",
            )
        return after

    def _record(self, block: bytes, start: int) -> Span:
        at, values = self._end_of_value(block, start), 1
        while block[at : at + 1] == self._delimiter:
            at, values = self._end_of_value(block, at + 1), values + 1
        return Span(start, at, values)

    def _end_of_value(self, block: bytes, start: int) -> int:
        if block[start : start + 1] != b'"':
            end = _ended(self._plain, block, start)
            if block[end : end + 1] == b'"':
                raise _BrokenError(
                    end,
                    f"a quote within a value that does not begin with one ({_shown(block, start, end)})",
                    "put the whole value into quotes and double those within it",
                )
            return end
        end = _ended(_QUOTED, block, start)
        if end == len(block):
            raise _BrokenError(
                start,
                f"a quote that nothing closes ({_shown(block, start, start)}): the file is truncated, or the quote "
                "belongs to a value",
                "write or deliver it again, with quotes within values doubled",
            )
        end += 1
        if block[end : end + 1] not in (b"", b"\r", b"\n", self._delimiter):
            raise _BrokenError(
                end,
                f"text after a closing quote ({_shown(block, start, end)})",
                "double the quotes that are within a value",
            )
        return end


def count_lines(block: bytes) -> int:
    r"""Return how many lines end in a block.

    Examples
    --------
    >>> count_lines(b"a\nb\r\nc\rd")
    3
    """
    return block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")


def _check_bytes(block: bytes, span: Span, encoding: str) -> None:
    record = block[span.start : span.end]
    if (at := record.find(b"\0")) >= 0:
        raise _BrokenError(
            span.start + at,
            f"a NUL character ({_shown(block, span.start, span.start + at)})",
            "remove it",
        )
    try:
        record.decode()
    except UnicodeDecodeError as err:
        at = span.start + err.start
        raise _BrokenError(
            at,
            f"a byte that is not {encoding} ({_shown(block, span.start, at)})",
            f"write the file in {encoding} as a whole",
        ) from err


def _check_width(span: Span, width: int | None) -> None:
    if width is not None and span.values != width:
        raise _BrokenError(
            span.start,
            f"{span.values} value{'s' * (span.values != 1)} where there are {width} names",
            "give every row a value for each name, which may be nothing, and put values that hold the delimiter or a "
            "line's end into quotes",
        )


def _ended(pattern: re.Pattern[bytes], block: bytes, start: int) -> int:
    found = pattern.match(block, start)
    return found.end() if found else start


def _shown(block: bytes, start: int, at: int) -> str:
    """Return what stands around a place, from not before `start` on, as a literal."""
    first = max(start, at - _SHOWN // 2)
    shown = block[first : first + _SHOWN].replace(UNDECODED, b"\xef\xbf\xbd")
    return repr(shown.decode("utf-8", "backslashreplace"))
