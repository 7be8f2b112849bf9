"""Bodies of requests as JSON: what is none is refused, and so is an object that has a name twice.

What belongs here: what is asked of every body, whichever protocol it speaks. What does not: what a body may say
(``asks``, ``protocols``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from include.serving.refusal import Refusal, unprocessable

_Read = TypeVar("_Read")

# A name of an object in JSON, or the like of it inside a text.
_NAME = re.compile(rb'"\s*:')


def read_json(decode: Callable[[bytes], _Read], body: bytes) -> _Read:
    """Return what a decoder of msgspec makes of a body; its ValidationError is the caller's to explain.

    Raises
    ------
    Refusal
        400 where the body is no JSON.
    """
    try:
        return decode(body)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Refusal(400, "no_json", f"the body is no JSON: {err}") from None


def refuse_doubled(body: bytes, names: int = 0) -> None:
    """Refuse a body in which an object has a name twice: readers of JSON do not agree on which one counts.

    Every name ends in a quote and a colon. Only where there are more of those than `names`, which were read, is it
    worth a second reading that looks at all of them.
    """
    if body.count(b":") > names and len(_NAME.findall(body)) > names:
        json.loads(body, object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise unprocessable(f"{max(names, key=names.count)!r} is there twice in one object; write each name once")
    return found
