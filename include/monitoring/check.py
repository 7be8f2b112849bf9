"""One thing that monitoring watches of a night, judged against its threshold.

What belongs here: the value that every kind of check gives, so that a page, a decision and a backtest read one shape.
What does not: how any of them is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Watch: TypeAlias = Literal["data_quality", "feature_drift", "prediction_drift", "performance", "latency", "traffic"]
CheckVerdict: TypeAlias = Literal["ok", "breach", "unknown"]


@dataclass(frozen=True)
class Check:
    """A value, how sure it is, and whether it is allowed.

    Attributes
    ----------
    watch : str
        Which of the six things that are watched it belongs to.
    name : str
        What was measured, in the field's own word and with its unit, e.g. ``auc`` or ``p99_ms``.
    value : float or None
        None where it could not be measured; then the verdict is ``unknown``.
    threshold : float or None
        Beyond it the verdict is ``breach``; None where a value is told and not judged.
    verdict : {"ok", "breach", "unknown"}
    low, high : float or None
        Ends of the value's 95 % interval; None where it has no end on that side, where none is known, and of counts and
        ratios of them, which are no sample.
    reference : float or None
        What the value was where the version's reference was frozen.
    reference_rows, current_rows : int
    reason : str or None
        Why there is no verdict, or what the breach is, in words with numbers.
    causes : tuple of str
        What a breach is mostly of, in words with numbers; three at most, and none where nobody looked.
    """

    watch: Watch
    name: str
    value: float | None
    threshold: float | None
    verdict: CheckVerdict
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    reference_rows: int = 0
    current_rows: int = 0
    reason: str | None = None
    causes: tuple[str, ...] = ()


def data_check(
    name: str,
    value: float,
    most: float,
    rows: int,
    told: str,
    is_breach: bool | None = None,
    *,
    interval: tuple[float, float] | None = None,
    reference: float | None = None,
    reference_rows: int = 0,
) -> Check:
    """Return a check of the night's data: it may not be above a limit, or whatever `is_breach` says.

    An interval changes no verdict: broken rows are broken, be they many or few.
    """
    breaks = value > most if is_breach is None else is_breach
    low, high = interval or (None, None)
    return Check(
        "data_quality",
        name,
        float(value),
        float(most),
        "breach" if breaks else "ok",
        low=low,
        high=high,
        reference=reference,
        reference_rows=reference_rows,
        current_rows=rows,
        reason=told if breaks else None,
    )
