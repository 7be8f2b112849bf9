"""Texts without what only looks like something: blanks at their ends, and words that mean that there is no value.

What belongs here: both, a column at a time, and how often each was met. What does not: which words they are, which a
source's dialect says, and what a text means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.specs.dialect import BLANKS, Dialect

_Bytes: TypeAlias = NDArray[np.uint8]
_Mask: TypeAlias = NDArray[np.bool_]


def _is_byte(found: set[int]) -> _Mask:
    return np.isin(np.arange(256), sorted(found))


_BEGINS_BLANK = _is_byte({blank.encode()[0] for blank in BLANKS})
_ENDS_BLANK = _is_byte({blank.encode()[-1] for blank in BLANKS})


@dataclass(frozen=True)
class Cleaned:
    """Texts, and how many of them lost blanks, or were a word or blanks that mean nothing."""

    values: pa.ChunkedArray
    trimmed: int
    null_words: int


def clean_texts(values: pa.ChunkedArray, dialect: Dialect) -> Cleaned:
    """Return texts as a dialect reads them.

    Parameters
    ----------
    values : pyarrow.ChunkedArray of string
        As they stand in a file.

    Returns
    -------
    Cleaned
        A text that means nothing is null, and counts as a word where it had a character; a text that is trimmed and
        is still something counts as trimmed.
    """
    chunks = [_clean(chunk, dialect) for chunk in values.chunks]
    return Cleaned(
        pa.chunked_array([chunk for chunk, _, _ in chunks], pa.string()),
        sum(trimmed for _, trimmed, _ in chunks),
        sum(words for _, _, words in chunks),
    )


def _clean(values: pa.StringArray, dialect: Dialect) -> tuple[pa.StringArray, int, int]:
    bare = _trimmed(values)
    is_nothing = _is_nothing(bare, dialect)
    kept = bare if dialect.trim else values
    if is_nothing.any():
        words = int(np.count_nonzero(_sizes(values)[is_nothing]))
        kept = pc.if_else(pa.array(is_nothing), pa.scalar(None, pa.string()), kept)
    else:
        words = 0
    if not dialect.trim or bare is values:
        return kept, 0, words
    return kept, int(np.count_nonzero((_sizes(bare) < _sizes(values)) & ~is_nothing)), words


def _trimmed(values: pa.StringArray) -> pa.StringArray:
    """Return texts without blanks at their ends; the same object where no byte at an end can be of a blank."""
    offsets, content = _buffers(values)
    starts, ends = offsets[:-1], offsets[1:]
    has_text = ends > starts
    first, last = content[starts[has_text]], content[ends[has_text] - 1]
    if not (_BEGINS_BLANK[first].any() or _ENDS_BLANK[last].any()):
        return values
    return pc.utf8_trim(values, BLANKS)


def _is_nothing(values: pa.StringArray, dialect: Dialect) -> _Mask:
    """Say which texts mean that there is no value; a null needn't be among them."""
    words = [word for word in dialect.null_words if word]
    sizes = _sizes(values)
    found: _Mask = sizes == 0 if "" in dialect.null_words else np.zeros(len(values), np.bool_)
    if words:
        # Few texts are as short as a word and begin as one does: only these are looked up.
        offsets, content = _buffers(values)
        may_be = (sizes > 0) & (sizes <= max(len(word.encode()) for word in words))
        places = np.flatnonzero(may_be)
        places = places[_is_byte({word.encode()[0] for word in words})[content[offsets[:-1][places]]]]
        is_word = pc.is_in(values.take(pa.array(places)), pa.array(words))
        found[places] |= is_word.to_numpy(zero_copy_only=False).astype(np.bool_)
    return found


def _sizes(values: pa.StringArray) -> NDArray[np.int32]:
    sizes: NDArray[np.int32] = np.diff(_buffers(values)[0])
    return sizes * values.is_valid().to_numpy(zero_copy_only=False) if values.null_count else sizes


def _buffers(values: pa.StringArray) -> tuple[NDArray[np.int32], _Bytes]:
    _, offsets, content = values.buffers()
    places = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1] if offsets else None
    if places is None:
        places = np.zeros(len(values) + 1, np.int32)
    return places, np.frombuffer(content or b"", np.uint8)
