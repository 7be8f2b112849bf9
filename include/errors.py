"""The errors this project raises on purpose, each with the exit code that the command line gives it.

What belongs here: error types that a caller tells apart. What does not: messages; they
are written where the value that is wrong is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


# Of what a library says; a page of it says no more.
_LONGEST = 400
# Of a value.
_LONGEST_VALUE = 130


class MlopsError(Exception):
    """Something broke: a server is down, a table is missing, two results disagree.

    A message says what failed, the value, what is allowed, and what to do next.
    """

    exit_code = 3


class ExpiredError(MlopsError):
    """A version of a lake table is asked for that is not kept any more, or never was."""


class AlteredError(MlopsError):
    """A file of the lake is not what was committed."""


class UncomputableError(MlopsError):
    """A statement meets a value that it can't compute with, such as one that does not fit its type."""


class UsageError(MlopsError):
    """The caller asked for something that can't be: a wrong key, an unreadable file."""

    exit_code = 2


class SpecError(UsageError):
    """A YAML file under ``include/config`` says something that isn't allowed.

    Attributes
    ----------
    violations : tuple of str
        Each thing that isn't allowed, in a sentence of its own.
    """

    def __init__(self, *violations: str) -> None:
        super().__init__("; ".join(violations))
        self.violations = violations


class UnreadableInputError(UsageError):
    """A file as a whole can't be taken: absent, empty, truncated, wrong columns or types."""


class UnpublishedError(UsageError):
    """A night is named whose features or scores are not published."""


class RefusedError(MlopsError):
    """The answer is no: a gate failed, somebody else moved first, nothing is there to do."""

    exit_code = 1


class ConflictError(RefusedError):
    """A compare-and-set found another state than the caller had read."""


class NotYetError(RefusedError):
    """What is asked about has not come yet, and will come without the caller: asking again later may bring it."""


def nearest(value: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the allowed word nearest to `value`, in any case, or nothing.

    Examples
    --------
    >>> nearest("auc_mim", ["auc_min", "latency_p99_ms_max"]), nearest("AUC_MIN", ["auc_min"])
    ("; did you mean 'auc_min'?", "; did you mean 'auc_min'?")
    >>> nearest("zzz", ["auc_min"])
    ''
    """
    words = {word.casefold(): word for word in allowed}
    close = get_close_matches(value.casefold(), words, n=1)
    return f"; did you mean {words[close[0]]!r}?" if close else ""


def shown(value: object) -> str:
    """Return a value as Python writes it, for a message that goes on behind it: of a long one the beginning.

    Examples
    --------
    >>> shown("a" * 9), len(shown(10**200))
    ("'aaaaaaaaa'", 131)
    """
    found = repr(value)
    return found if len(found) <= _LONGEST_VALUE else f"{found[:_LONGEST_VALUE]}…"


def one_line(err: BaseException) -> str:
    r"""Return what an error says in one line, without the colours and arrows of a terminal, and the frames of a stack.

    Examples
    --------
    >>> one_line(OSError("local storage\n  \x1b[31m↳\x1b[0m can't write\n  \x1b[31m↳\x1b[0m no room"))
    "local storage: can't write: no room"
    >>> one_line(ValueError("truncated record\n   0: <unknown>\n   1: clone3 at ./clone3.S:81"))
    'truncated record'
    >>> one_line(ValueError())
    'ValueError'
    """
    plain = re.sub("\x1b\\[[0-9;]*m", "", str(err))
    plain = re.split(r"\n\s*0: ", plain, maxsplit=1)[0]
    parts = (" ".join(part.split()) for part in plain.split("↳"))
    return ": ".join(filter(None, parts))[:_LONGEST] or type(err).__name__


def problems(err: ValidationError) -> str:
    """Return what pydantic found wrong in one line: where, which value, and what is allowed there.

    Examples
    --------
    >>> from pydantic import TypeAdapter
    >>> try:
    ...     TypeAdapter(dict[str, int]).validate_json('{"rows": "many"}', strict=True)
    ... except ValueError as err:
    ...     problems(err)
    "rows='many': Input should be a valid integer"
    """
    return "; ".join(map(_problem, err.errors(include_url=False)))


def _problem(found: ErrorDetails) -> str:
    where = ".".join(map(str, found["loc"]))
    if found["type"] == "missing":
        return f"{where} is missing"
    return f"{where}={shown(found['input'])}: {found['msg']}" if where else found["msg"]
