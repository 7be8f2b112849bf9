"""Times as ISO 8601 and databases write them, brought to the one form that Arrow reads.

What belongs here: a comma before a fraction, a blank before a zone, the word UTC. What does not: other patterns of
times (``sources.times``), and which digits of a fraction are kept.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_REWRITTEN = (
    (r"(:[0-9]{2}),([0-9]+)", r"\1.\2"),
    (r"([0-9]) ?(?:UTC|z)$", r"\1Z"),
    (r"([0-9]) (Z|[-+][0-9]{2}:?(?:[0-9]{2})?)$", r"\1\2"),
)


def in_one_form(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times as Arrow reads them; other texts may be changed too, and are none still.

    Examples
    --------
    >>> import pyarrow as pa
    >>> in_one_form(pa.chunked_array([["2026-03-01 10:00:00,5 +0100", "2026-03-01 10:00:00 UTC"]])).to_pylist()
    ['2026-03-01 10:00:00.5+0100', '2026-03-01 10:00:00Z']
    """
    for found, written in _REWRITTEN:
        texts = pc.replace_substring_regex(texts, found, written)
    return texts
