"""A retrain that was decided on, and that no version came of, in words.

What belongs here: what is known of its training, and the sentence that a decision and a person are told. What does not:
finding it (``steps.find_untrained``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UntrainedRetrain:
    """A retrain that acted and that a training claimed, without a version of its day.

    Attributes
    ----------
    model_id : str
    partition : str
        The night that was decided on.
    trained_by : str
        The run that claimed it.
    why : str or None
        What its training said last of its end; None while it runs, or where it broke off without a word.

    Examples
    --------
    >>> print(UntrainedRetrain("churn", "2026-03-01", "run-1", "train: no room"))
    no version has come of the retrain that was decided on 2026-03-01: run-1 failed at train: no room; clear its tasks \
in train_model__churn, or train by hand
    """

    model_id: str
    partition: str
    trained_by: str
    why: str | None = None

    def __str__(self) -> str:
        came = f"no version has come of the retrain that was decided on {self.partition}: {self.trained_by}"
        if self.why is None:
            return f"{came} trains on it still, or broke off without a word; look at train_model__{self.model_id}"
        return f"{came} failed at {self.why}; clear its tasks in train_model__{self.model_id}, or train by hand"
