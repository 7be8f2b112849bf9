"""JSON that a row of the ledger keeps, read back as the value that it was written from.

What belongs here: that one reading, and what is said of a row that another code wrote. What does not: the values.
"""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from include.errors import MlopsError, problems

_Value = TypeVar("_Value")


def read_kept(adapter: TypeAdapter[_Value], kept: object, *, what: str, row: str) -> _Value:
    """Return a value from the JSON of a row.

    Parameters
    ----------
    adapter : pydantic.TypeAdapter
        What the value has to be.
    kept : object
        The JSON value.
    what, row : str
        What it is, and of which row, for the message.

    Raises
    ------
    MlopsError
        If it is something else.
    """
    try:
        # By way of text: there an array is a tuple, and nothing else is taken for what it is not.
        return adapter.validate_json(json.dumps(kept))
    except ValidationError as err:
        raise MlopsError(
            f"{row}: this code did not write its {what} ({problems(err)}); "
            "run the code that did, or restore the row from a backup"
        ) from err
