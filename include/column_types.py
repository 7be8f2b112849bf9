"""What an Arrow type holds, and which type may stand for which.

What belongs here: rules on Arrow types, each once: several types are text, and several are numbers. What does not:
values, and the tables, views and files that have them.
"""

from __future__ import annotations

import pyarrow as pa


def value_type(found: pa.DataType) -> pa.DataType:
    """Return the type of the values themselves: a dictionary only says how they are kept.

    Examples
    --------
    >>> import pyarrow as pa
    >>> value_type(pa.dictionary(pa.int8(), pa.string())), value_type(pa.int8())
    (DataType(string), DataType(int8))
    """
    return found.value_type if pa.types.is_dictionary(found) else found


def is_text(found: pa.DataType) -> bool:
    """Say whether values are text, in whichever way Arrow keeps it."""
    return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found))


def is_binary(found: pa.DataType) -> bool:
    """Say whether values are bytes of any length."""
    return bool(pa.types.is_binary(found) or pa.types.is_large_binary(found) or pa.types.is_binary_view(found))


def is_number(found: pa.DataType) -> bool:
    """Say whether values are numbers: whole, floating or decimal. A boolean is none.

    Examples
    --------
    >>> import pyarrow as pa
    >>> is_number(pa.uint8()), is_number(pa.decimal128(9, 2)), is_number(pa.bool_()), is_number(pa.null())
    (True, True, False, False)
    """
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found) or pa.types.is_decimal(found))


def is_instant(found: pa.DataType) -> bool:
    """Say whether values are times that name their zone; a naive time is no instant yet."""
    return bool(pa.types.is_timestamp(found) and found.tz is not None)


def key_family(found: pa.DataType) -> str:
    """Return what a key of this type can be compared with: ``text``, ``integer``, or only the type itself.

    Examples
    --------
    >>> import pyarrow as pa
    >>> key_family(pa.large_string()), key_family(pa.int32()), key_family(pa.float64())
    ('text', 'integer', 'double')
    """
    found = value_type(found)
    if is_text(found):
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
        return is_lossless(value_type(found), expected)
    if _is_list(found) and _is_list(expected):
        return is_lossless(found.value_type, expected.value_type)
    return _holds_scalars(found, expected)


def _holds_scalars(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_integer(found):
        return _holds_integers(found, expected)
    if pa.types.is_floating(found):
        return bool(pa.types.is_floating(expected) and expected.bit_width >= found.bit_width)
    if is_text(found) or is_binary(found):
        return is_text(found) == is_text(expected) and is_binary(found) == is_binary(expected)
    return bool(pa.types.is_timestamp(found) and pa.types.is_timestamp(expected))


def _holds_integers(found: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_floating(expected):
        return True
    if not pa.types.is_integer(expected):
        return False
    if pa.types.is_signed_integer(found) == pa.types.is_signed_integer(expected):
        return bool(expected.bit_width >= found.bit_width)
    return bool(pa.types.is_signed_integer(expected) and expected.bit_width > found.bit_width)


def _is_list(found: pa.DataType) -> bool:
    return bool(pa.types.is_list(found) or pa.types.is_large_list(found))
