"""Which stored type may stand for which declared one, and which keys can be compared.

What belongs here: rules on Arrow types. What does not: the tables and views that have them.
"""

from __future__ import annotations

import pyarrow as pa


def key_family(found: pa.DataType) -> str:
    """Return what a key of this type can be compared with: ``text``, ``integer``, or only the type itself.

    Examples
    --------
    >>> import pyarrow as pa
    >>> key_family(pa.large_string()), key_family(pa.int32()), key_family(pa.float64())
    ('text', 'integer', 'double')
    """
    if pa.types.is_dictionary(found):
        found = found.value_type
    if _is_text(found):
        return "text"
    return "integer" if pa.types.is_integer(found) else str(found)


def is_lossless(found: pa.DataType, expected: pa.DataType) -> bool:
    """Say whether values of one type can be given as another without a loss.

    Whole numbers may become floats: the cast checks each value.

    Examples
    --------
    >>> import pyarrow as pa
    >>> is_lossless(pa.int32(), pa.int64()), is_lossless(pa.float64(), pa.float32())
    (True, False)
    """
    if found == expected or pa.types.is_null(found):
        return True
    if pa.types.is_dictionary(found):
        return is_lossless(found.value_type, expected)
    if _is_list(found) and _is_list(expected):
        return is_lossless(found.value_type, expected.value_type)
    if pa.types.is_integer(found):
        return _holds_integers(found, expected)
    if pa.types.is_floating(found):
        return bool(pa.types.is_floating(expected) and expected.bit_width >= found.bit_width)
    if _is_text(found) or _is_binary(found):
        return _is_text(found) == _is_text(expected) and _is_binary(found) == _is_binary(expected)
    return bool(pa.types.is_timestamp(found) and pa.types.is_timestamp(expected))


def _holds_integers(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_floating(expected):
        return True
    if not pa.types.is_integer(expected):
        return False
    if pa.types.is_signed_integer(found) == pa.types.is_signed_integer(expected):
        return bool(expected.bit_width >= found.bit_width)
    return bool(pa.types.is_signed_integer(expected) and expected.bit_width > found.bit_width)


def _is_text(found: pa.DataType) -> bool:
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found))


def _is_binary(found: pa.DataType) -> bool:
    return bool(pa.types.is_binary(found) or pa.types.is_large_binary(found))


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found))
