"""The text of a file as blocks of UTF-8, whatever it is compressed with and written in.

What belongs here: decompressing and recoding. What does not: what the text says (``records``).
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO, TypeAlias, cast

import pyarrow as pa

from include.adapters.files.tabular import TableFile

Watch: TypeAlias = Callable[[bytes], object]

BLOCK_BYTES = 1 << 22

_MARK = codecs.BOM_UTF8
_UTF8 = ("utf-8", "utf-8-sig")
_CODECS = {".gz": "gzip", ".zst": "zstd"}
# Stands for bytes that aren't of the encoding; no text has half a pair, and no UTF-8 what it becomes.
_HALF_PAIR = "\udcff"
UNDECODED = _HALF_PAIR.encode("utf-8", "surrogatepass")
_ON_ERROR = "mlops-half-pair"

codecs.register_error(_ON_ERROR, lambda err: (_HALF_PAIR, cast("UnicodeDecodeError", err).end))


class _Watched:
    """A stream of bytes that shows to another what is read from it."""

    def __init__(self, stream: BinaryIO, watch: Watch) -> None:
        self._stream, self._watch = stream, watch
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        self._watch(block)
        return block

    def close(self) -> None:
        self.closed = True


@contextmanager
def open_text(file: TableFile, encoding: str, *, watch: Watch | None = None) -> Iterator[Iterator[bytes]]:
    """Yield the blocks of a file's text, in UTF-8 and without a byte order mark.

    Bytes that the encoding doesn't have are no valid UTF-8 in the blocks.

    Parameters
    ----------
    encoding : str
        As Python names it.
    watch : callable, optional
        Is shown the file's own bytes, as they are read: all of them, once the blocks are at their end.

    Raises
    ------
    OSError
        While blocks are read, if the storage fails or what is compressed is damaged.
    """
    with open_bytes(file, watch=watch) as blocks:
        yield _without_mark(_recoded(blocks, encoding))


@contextmanager
def open_bytes(file: TableFile, *, watch: Watch | None = None) -> Iterator[Iterator[bytes]]:
    """Yield the blocks of a file's text as they are written, no longer compressed; as `open_text`."""
    with ExitStack() as stack:
        stream = stack.enter_context(file.filesystem.open_input_stream(file.path, compression=None))
        if watch is not None:
            stream = stack.enter_context(pa.PythonFile(_Watched(stream, watch), mode="r"))
        packed = stream
        if codec := _CODECS.get(file.compression):
            stream = stack.enter_context(pa.CompressedInputStream(stream, codec))
        yield _blocks(stream, packed)


def _blocks(stream: pa.NativeFile, packed: pa.NativeFile) -> Iterator[bytes]:
    while block := stream.read(BLOCK_BYTES):
        yield block
    while stream is not packed and packed.read(BLOCK_BYTES):
        # Nothing is left but for who watches.
        pass


def _recoded(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    if codecs.lookup(encoding).name in _UTF8:
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder(encoding)(_ON_ERROR)
    for block in blocks:
        try:
            text = decoder.decode(block)
        except UnicodeError:
            # UTF-16 and UTF-32 can't be told without a mark.
            text = _HALF_PAIR
        yield text.encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")


def _without_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    for block in blocks:
        head += block
        if len(head) >= len(_MARK):
            break
    yield head.removeprefix(_MARK)
    yield from blocks
