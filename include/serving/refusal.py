"""What the service says no with: a status, a word for programs, a sentence for people.

What belongs here: the one shape of an error, whichever protocol asked. What does not: when one is raised.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Refusal(Exception):  # noqa: N818 - it is an answer
    """An answer that is not a prediction.

    Parameters
    ----------
    status : int
        Of HTTP.
    code : str
        For programs; it does not change.
    message : str
        What is wrong, which value, what is allowed, what to do next. Never a stack trace, never a feature's value of
        somebody else.
    details : mapping of str to object, optional
        What a program may want of it.
    retry_after_s : int, optional
        Seconds after which asking again may help.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, object] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.retry_after_s = retry_after_s

    def body(self, request_id: str, *, is_inference: bool = False) -> bytes:
        """Return it as JSON; clients of the Open Inference Protocol expect the sentence alone as the error."""
        if is_inference:
            return msgspec.json.encode({"error": self.message, "code": self.code, "request_id": request_id})
        said = {"code": self.code, "message": self.message, "details": self.details, "request_id": request_id}
        return msgspec.json.encode({"error": said})


def unprocessable(message: str, **details: object) -> Refusal:
    """Return the refusal of a body that is JSON, and not what is expected."""
    return Refusal(422, "unprocessable", message, details=details)
