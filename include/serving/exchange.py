"""One request and what became of it, as it is handed on once its answer is sent.

What belongs here: the value. What does not: filling it (``prediction_service``), and what is kept of it (``recorder``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.serving.answers import Answerer, Scored
    from include.serving.asks import Ask
    from include.serving.lineup import Lineup


class Exchange:
    """A request, from its first byte to what is kept of it.

    Attributes
    ----------
    request_id : str
    asked_at_us : int
        Wall clock, microseconds since 1970.
    model_id : str or None
        The model that it names, whether or not there is one; None of a request that names none.
    lineup : Lineup or None
        The versions that answered; None where there were none.
    ask : Ask or None
        What was asked; None again where nobody needs it any more, as it may be large.
    at : datetime or None
        When the question is asked, where it says so.
    keys : sequence of tuple of str
        The entity of each row; empty where rows of features were given.
    scored : sequence of Scored
        The rows; empty where the request was refused.
    answer_json_bytes : int or None
        How many bytes of the answer are JSON, where tensors stand behind it.
    """

    # Of the class until it is known: one is made for each request.
    lineup: Lineup[Answerer] | None = None
    ask: Ask | None = None
    at: datetime | None = None
    keys: Sequence[tuple[str, ...]] = ()
    scored: Sequence[Scored] = ()
    answer_json_bytes: int | None = None

    def __init__(self, request_id: str, asked_at_us: int, model_id: str | None = None) -> None:
        self.request_id = request_id
        self.asked_at_us = asked_at_us
        self.model_id = model_id

    def keep(self, ask: Ask, keys: Sequence[tuple[str, ...]], scored: Sequence[Scored]) -> None:
        """Keep what was asked and what came of it."""
        self.ask, self.at, self.keys, self.scored = ask, ask.at, keys, scored
