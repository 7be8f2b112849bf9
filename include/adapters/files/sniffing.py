"""What a text file looks like: the encoding, the delimiter, or that it is no text at all.

What belongs here: guesses from a file's bytes, for people: a message that names the cause, a proposal. What does not:
reading by a guess, which nothing does, and what columns hold (``sources.guessing``).
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, replace

from include.adapters.files.faults import Grammar
from include.adapters.files.records import end_of_records
from include.adapters.files.tabular import TableFile, reading
from include.adapters.files.text_bytes import open_bytes
from include.errors import UnreadableInputError
from include.specs.dialect import Dialect

_DELIMITERS = ",;\t|"
# Enough to tell one delimiter from another.
_MOST_RECORDS = 100
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_OTHERS = {
    b"PK\x03\x04": "is a spreadsheet or a zip archive: export it as CSV, or unpack it",
    b"\x1f\x8b": "is compressed by gzip: let its name end in .gz",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd: let its name end in .zst",
    b"PAR1": "is a parquet file: let its name end in .parquet",
    b"\xd0\xcf\x11\xe0": "is an old spreadsheet: export it as CSV",
    b"sep=": "begins with a line for a spreadsheet program (sep=), not with the names: remove that line",
}
# Letters and signs there in cp1252, nothing that is meant in latin-1.
_CONTINUED = bytes(range(0x80, 0xC0))
_ONLY_CP1252 = frozenset(range(0x80, 0xA0))


def sniff_dialect(file: TableFile) -> Dialect:
    """Return a dialect with the delimiter and the encoding that a text file seems to have.

    Raises
    ------
    MlopsError
        If the storage fails.
    """
    return _guess_dialect(file, _read_traces(file))


def guess_encoding(head: bytes) -> str:
    """Return the encoding that some bytes, from a text's beginning on or from elsewhere in it, seem to be written in.

    Examples
    --------
    >>> guess_encoding("Größe".encode("latin-1")), guess_encoding("10 €".encode("cp1252"))
    ('latin-1', 'cp1252')
    """
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if head.count(0) * 4 > len(head):
        # Of a letter of Latin in two bytes one is nothing.
        return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"
    if is_utf8(head):
        return "utf-8"
    return "cp1252" if _ONLY_CP1252.intersection(head) else "latin-1"


def is_utf8(block: bytes) -> bool:
    """Say whether bytes are UTF-8; the last character may be cut off."""
    try:
        codecs.utf_8_decode(block, "strict", False)
    except UnicodeDecodeError:
        return False
    return True


def explained(
    err: UnreadableInputError, file: TableFile, dialect: Dialect, *, has_options: bool
) -> UnreadableInputError:
    """Return the refusal of a text file with what seems to be its cause: that it is written in another way.

    Parameters
    ----------
    dialect : Dialect
        As which the file was read.
    has_options : bool
        Whether whoever reads the message can name another one.
    """
    traces = _read_traces(file)
    for beginning, what in _OTHERS.items():
        if traces.head.startswith(beginning):
            return UnreadableInputError(f"{file.name} {what}")
    looks = _guess_dialect(file, traces)
    if _fits(traces.telling, dialect.encoding) or not _fits(traces.telling, looks.encoding):
        looks = replace(looks, encoding=dialect.encoding)
    found, read = (one.separator(file.extension) for one in (looks, dialect))
    causes = []
    if looks.encoding != dialect.encoding:
        option, otherwise = f"(encoding: {looks.encoding})", f"write it in {dialect.encoding}"
        causes.append((f"it looks like text in {looks.encoding}", option, otherwise))
    if found != read:
        option, otherwise = f'(delimiter: "{_named(found)}")', f"write {read!r} there"
        causes.append((f"its values seem to be separated by {found!r}, not by {read!r}", option, otherwise))
    return UnreadableInputError("; ".join([str(err), *_told(causes, has_options=has_options)]))


def _told(causes: Sequence[tuple[str, str, str]], *, has_options: bool) -> list[str]:
    """Return what causes are, and what helps, in one sentence; none without a cause."""
    if not causes:
        return []
    whats, options, others = zip(*causes, strict=True)
    if has_options:
        others = (
            f"name that in a format {' '.join(options)}, which mlops sources new NAME --for SOURCE --from FILE writes",
        )
    return [f"{' and '.join(whats)}: {', '.join(others)}"]


def _fits(block: bytes, encoding: str) -> bool:
    """Say whether bytes could be of a text in an encoding."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(block)
    except UnicodeError:
        return False
    marks = tuple(mark.decode("latin-1") for mark in _MARKS)
    return "\0" not in text and ("\n" in text or "\r" in text) and not text.startswith(marks)


def _named(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


@dataclass(frozen=True)
class _Traces:
    """A file's first block, whether it is all there is, and the first that is no UTF-8, or else the first."""

    head: bytes
    is_whole: bool
    telling: bytes


def _read_traces(file: TableFile) -> _Traces:
    with reading(file), open_bytes(file) as blocks:
        head, is_whole = next(blocks, b""), True
        if not is_utf8(head):
            return _Traces(head, next(blocks, None) is None, head)
        for block in blocks:
            is_whole = False
            if not is_utf8(block.lstrip(_CONTINUED)):
                return _Traces(head, False, block)
    return _Traces(head, is_whole, head)


def _guess_dialect(file: TableFile, traces: _Traces) -> Dialect:
    encoding = guess_encoding(traces.telling)
    text = traces.head.decode(encoding, errors="replace").removeprefix("\ufeff").encode()
    if not traces.is_whole:
        text = text[: end_of_records(text, has_lone_cr=True)]
    found = _guess_delimiter(text)
    by_name = Dialect().separator(file.extension)
    return Dialect(delimiter=None if found in (None, by_name) else found, encoding=encoding)


def _guess_delimiter(text: bytes) -> str | None:
    """Return what the records of a text have most values by, each as many as the first; None where there is nothing."""
    best, most = None, 1
    for delimiter in _DELIMITERS:
        widths = Grammar(delimiter).widths(text, most=_MOST_RECORDS)
        if widths and set(widths) == {widths[0]} and widths[0] > most:
            best, most = delimiter, widths[0]
    return best
