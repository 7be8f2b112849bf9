"""The records of a text file, fast: the only parser of records there is.

What belongs here: cutting a file's text where records end, proving that each piece keeps the grammar, and having Arrow
parse it. What does not: what the grammar is, and which record breaks it (``faults``).

Arrow's own reader takes text after a closing quote, skips what it can't place, and loses a line feed where its blocks
meet in a quoted CRLF (apache/arrow#51368). Here it gets whole records only, which were looked at before: a block is
parsed by itself, so no boundary is within a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from include.adapters.files.faults import Fault, Grammar, count_lines
from include.adapters.files.tabular import TableFile
from include.adapters.files.text_bytes import Watch, open_text
from include.errors import UnreadableInputError
from include.specs.dialect import Dialect

_QUOTE, _CR, _LF = (ord(mark) for mark in '"\r\n')
_MARK = b"\xef\xbb\xbf"
_EMPTY_LINES = re.compile(rb"[\r\n]*")
_LINE_END = re.compile(rb"\r\n|\r|\n")
# Longer than any that is meant; a quote that nothing closes makes one of all that follows.
LONGEST_BYTES = 1 << 26


class _BrokenBlockError(Exception):
    """The records of a block break the grammar, or are no text."""


class Records:
    """The records of a text: their names, once it was opened, and then the rows."""

    def __init__(self, file: TableFile, dialect: Dialect, blocks: Iterator[bytes]) -> None:
        self._file, self._encoding = file, dialect.encoding
        delimiter = dialect.separator(file.extension)
        self._grammar = Grammar(delimiter)
        # Until the names are known to end otherwise.
        self._has_lone_cr = True
        self._parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        ends = (ord(delimiter), ord("\r"), ord("\n"), _QUOTE)
        self._beside_quotes = np.isin(np.arange(256), ends)
        self._lines, self._rows = 0, 0
        self._pieces = self._cut(blocks)
        self._held = b""
        self.names = self._read_names()
        self._grammar = Grammar(delimiter, has_lone_cr=self._has_lone_cr)
        self._parse.ignore_empty_lines = len(self.names) > 1

    def parts(self, places: Sequence[int] | None = None) -> Iterator[pa.Table]:
        """Yield the rows in their order, each value as it stands, in columns of text; none of the parts is empty.

        Parameters
        ----------
        places : sequence of int, optional
            Of the columns that are wanted; default: all. Every record is checked as a whole.

        Raises
        ------
        UnreadableInputError
            If a record breaks the grammar, once the rows of all pieces before it were given.
        """
        for piece in self._rest():
            try:
                found = self._parsed(piece, len(self.names), places)
            except (_BrokenBlockError, pa.ArrowInvalid) as err:
                raise self._refusal(piece, len(self.names)) from err
            self._lines += count_lines(piece)
            self._rows += found.num_rows
            if found.num_rows:
                yield found

    def _cut(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes again in pieces that end where a record does; the last one where the file does."""
        rest = b""
        for block in blocks:
            known = rest + block
            end = end_of_records(known, has_lone_cr=self._has_lone_cr)
            if len(known) - end > LONGEST_BYTES:
                # Too long to be looked at again with each block: it is refused as it is.
                end = len(known)
            if end:
                yield known[:end]
            rest = known[end:]
        if rest:
            yield rest

    def _rest(self) -> Iterator[bytes]:
        if self._held:
            yield self._held
        yield from self._pieces

    def _read_names(self) -> list[str]:
        for piece in self._pieces:
            start = _EMPTY_LINES.match(piece).end()  # type: ignore[union-attr]
            self._lines += count_lines(piece[:start])
            if start < len(piece):
                return self._names_of(piece[start:])
        raise UnreadableInputError(
            f"{self._file.name}: the file has no names of columns, nothing but empty lines; write or deliver it again"
        )

    def _names_of(self, piece: bytes) -> list[str]:
        record = self._grammar.first_record(piece)
        if record is None:
            raise self._refusal(piece, None)
        ended = _LINE_END.match(piece, record.end)
        after = ended.end() if ended else record.end
        head, self._held = piece[:after], piece[after:]
        self._has_lone_cr = ended is not None and ended.group() == b"\r"
        try:
            names = self._parsed(head, record.values)
        except (_BrokenBlockError, pa.ArrowInvalid) as err:
            raise self._refusal(head, None) from err
        self._lines += count_lines(head)
        return [column[0].as_py() for column in names.columns]

    def _parsed(self, piece: bytes, width: int, places: Sequence[int] | None = None) -> pa.Table:
        self._check(piece)
        names = [str(place) for place in range(width)]
        wanted = names if places is None else [names[place] for place in places]
        # Arrow takes what a byte order mark is for one wherever its input begins.
        whole = _MARK + piece if piece.startswith(_MARK) else piece
        return pacsv.read_csv(
            pa.BufferReader(whole),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=len(whole), column_names=names),
            parse_options=self._parse,
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=wanted, check_utf8=False
            ),
        )

    def _check(self, piece: bytes) -> None:
        if len(piece) > LONGEST_BYTES or b"\0" in piece:
            raise _BrokenBlockError
        if not piece.isascii():
            try:
                piece.decode()
            except UnicodeDecodeError as err:
                raise _BrokenBlockError from err
        if b'"' in piece or (b"\r" in piece and not self._has_lone_cr):
            self._check_marks(np.frombuffer(piece, np.uint8))

    def _check_marks(self, piece: NDArray[np.uint8]) -> None:
        # Of quotes in turn, one opens a value or is the second of two; the next closes it or is the first of two.
        quotes = np.flatnonzero(piece == _QUOTE)
        opening, closing = quotes[::2], quotes[1::2]
        before = piece[opening[opening > 0] - 1]
        after = piece[closing[closing < len(piece) - 1] + 1]
        if len(quotes) % 2 or not (self._beside_quotes[before].all() and self._beside_quotes[after].all()):
            raise _BrokenBlockError
        if not self._has_lone_cr:
            returns = np.flatnonzero(piece[:-1] == _CR)
            alone = returns[piece[returns + 1] != _LF]
            if (np.searchsorted(quotes, alone) % 2 == 0).any():
                raise _BrokenBlockError

    def _refusal(self, piece: bytes, width: int | None) -> UnreadableInputError:
        fault = self._grammar.find_fault(piece, width, rows=self._rows, lines=self._lines, encoding=self._encoding)
        if fault is None:
            longest = f"a row of more than {LONGEST_BYTES >> 20} MB"
            fault = Fault(self._rows + 1, self._lines + 1, longest, "end every row with a line's end")
        return UnreadableInputError(f"{self._file.name}: {fault.place}: {fault.found}; {fault.remedy}")


@contextmanager
def open_records(file: TableFile, dialect: Dialect, *, watch: Watch | None = None) -> Iterator[Records]:
    """Yield the records of a text file.

    Parameters
    ----------
    watch : callable, optional
        As of `open_text`.

    Raises
    ------
    UnreadableInputError
        If the line of names breaks the grammar; while rows are read, if one does.
    OSError
        If the storage fails, or what is compressed is damaged.
    """
    with open_text(file, dialect.encoding, watch=watch) as blocks:
        yield Records(file, dialect, blocks)


def end_of_records(known: bytes, *, has_lone_cr: bool) -> int:
    """Return where the last record ends that ends within some bytes, of which the first begins one; 0: none does."""
    return _end_by(known, b"\n") or (_end_by(known, b"\r") if has_lone_cr else 0)


def _end_by(known: bytes, mark: bytes) -> int:
    # A CR at the end may be half of a line's end.
    until = len(known) - (mark == b"\r")
    quotes = known.count(b'"', 0, until)
    while (at := known.rfind(mark, 0, until)) >= 0:
        quotes -= known.count(b'"', at, until)
        if quotes % 2 == 0:
            return at + 1
        # Within quotes: so is all that follows the quote that opened them.
        until = known.rfind(b'"', 0, at)
        quotes -= 1
    return 0
