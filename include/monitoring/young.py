"""Which features a young log has not filled yet.

What belongs here: a pure function of how far features look back, and of when history and a reference begin. What does
not: reading those (``steps.find_young``), and what a shift of such a feature leads to (``triggers``).
"""

from __future__ import annotations

from collections.abc import Mapping

from include import partitions


def lacking_history(
    lookback_days: Mapping[str, int], begins_on: Mapping[str, str], *, sampled_from: str
) -> dict[str, int]:
    """Return the features that look back further than there was history, and by how many days.

    Parameters
    ----------
    lookback_days : mapping of str to int
        Of each feature that looks back.
    begins_on : mapping of str to str
        The first day of what each of them is made of; one that is not in it is taken for whole.
    sampled_from : str
        The first day of the reference. A night is later: where the reference is whole, so is the night.

    Examples
    --------
    A window of three days that ends with the third day of history is whole.

    >>> lacking_history({"orders_3d": 3}, {"orders_3d": "2026-01-01"}, sampled_from="2026-01-03")
    {}
    >>> lacking_history({"orders_3d": 3}, {"orders_3d": "2026-01-01"}, sampled_from="2026-01-02")
    {'orders_3d': 1}
    """
    lacking = {
        feature: days - 1 - partitions.days_between(begins_on[feature], sampled_from)
        for feature, days in lookback_days.items()
        if feature in begins_on
    }
    return {feature: days for feature, days in lacking.items() if days > 0}
