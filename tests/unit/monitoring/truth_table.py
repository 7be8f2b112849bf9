"""What several judges say of samples of which the truth is known; ``python -m`` prints it for docs/drift.md.

Evidently's rule is the one that it documents as its default above 1,000 reference rows, on scipy's statistics:
Wasserstein over the reference's deviation, or Jensen and Shannon's distance of categories, from 0.1; rows without a
finite value are left out first.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from include.monitoring.drift import measure_drift
from include.monitoring.reference_profile import build_reference_profile

MIN_ROWS = 50
_BREAKS = "breaks"
_SILENT = "has no bins"


@dataclass(frozen=True)
class Truth:
    """Two samples, and what is right to say of them."""

    name: str
    right: str
    reference: np.ndarray
    window: np.ndarray


def truths(seed: int = 18) -> Iterator[Truth]:
    """Return the cases, all drawn one after the other from one seed."""
    rng = np.random.default_rng(seed)
    usual, again = rng.normal(size=2_000), rng.normal(size=1_000)
    yield Truth("the same rows", "stable", usual, usual)
    yield Truth("other rows of the same population", "stable", usual, again)
    yield Truth("shifted by one deviation", "significant", usual, again + 1)
    yield Truth("twice as wide", "significant", usual, again * 2)
    yield Truth("one outlier", "stable", usual, with_value(again, 0.001, 1e9))
    yield Truth("15 % out of range", "significant", usual, with_value(again, 0.15, 20.0))
    yield Truth("9 % infinite", "significant", usual, with_value(again, 0.09, np.inf))
    half = with_value(usual, 0.2, np.nan)
    yield Truth("a fifth missing in both", "stable", half, with_value(again, 0.2, np.nan))
    yield Truth("a fifth missing in both, shifted", "significant", half, with_value(again + 1, 0.2, np.nan))
    yield Truth("30 % missing now", "significant", usual, with_value(again, 0.3, np.nan))
    yield Truth("an empty window", "insufficient", usual, np.array([]))
    constant = np.full(2_000, 7.0)
    yield Truth("a constant", "stable", constant, constant[:1_000])
    yield Truth("a constant that moves", "significant", constant, np.full(1_000, 7.001))
    zeros, fewer = (
        np.where(rng.random(n) < share, 0.0, rng.poisson(3, n) + 1) for n, share in ((2_000, 0.6), (1_000, 0.25))
    )
    yield Truth("zero-heavy counts", "stable", zeros, zeros[rng.permutation(2_000)[:1_000]])
    yield Truth("zero-heavy counts, fewer zeros", "significant", zeros, fewer)
    letters = rng.choice(np.array(["a", "b", "c"], dtype=object), 2_000)
    yield Truth("categories", "stable", letters, rng.choice(np.array(["a", "b", "c"], dtype=object), 1_000))
    yield Truth("a new category, 20 %", "significant", letters, with_value(letters[:1_000], 0.2, "new"))
    yield Truth("30 rows", "insufficient", usual, rng.normal(size=30))
    yield Truth("60 rows", "stable", usual, rng.normal(size=60))
    yield Truth("200,000 rows 0.02 deviations apart", "stable", rng.normal(size=200_000), rng.normal(0.02, 1, 200_000))
    wide = 2.0**24 + rng.integers(0, 60, 2_000)
    yield Truth("the same rows with 32 bits", "stable", wide, wide.astype(np.float32))


def with_value(values: np.ndarray, share: float, value: object) -> np.ndarray:
    """Return the values, the first of them replaced."""
    changed = values.copy()
    changed[: round(share * len(values))] = value
    return changed


def ours(truth: Truth) -> str:
    """Return this project's verdict."""
    profile = build_reference_profile({"x": truth.reference})
    (judged,) = measure_drift(profile, {"x": truth.window}, min_rows=MIN_ROWS, moderate=0.1, significant=0.2)
    return judged.verdict


def textbook(truth: Truth) -> str:
    """Return the verdict of PSI as it is usually written: a histogram over deciles, shares of at least 0.001."""
    if truth.reference.dtype == object:
        return _SILENT
    edges = np.quantile(truth.reference, np.linspace(0, 1, 11))
    shares = [
        np.clip(np.histogram(values, edges)[0] / len(values), 0.001, None) for values in (truth.reference, truth.window)
    ]
    psi = float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
    return _BREAKS if np.isnan(psi) else "stable" if psi < 0.1 else "moderate" if psi <= 0.2 else "significant"


def evidently(truth: Truth) -> str:
    """Return the verdict of Evidently's documented default."""
    if truth.reference.dtype == object:
        shares = [np.array(row) / sum(row) for row in _table(truth)]
        return "drift" if jensenshannon(*shares, base=2) >= 0.1 else "none"
    reference, window = (values[np.isfinite(values)] for values in (truth.reference, truth.window))
    return "drift" if wasserstein_distance(reference, window) / max(reference.std(), 0.001) >= 0.1 else "none"


def scipy(truth: Truth) -> str:
    """Return what scipy's two-sample tests say at 0.01."""
    if truth.reference.dtype == object:
        return "drift" if chi2_contingency(_table(truth)).pvalue < 0.01 else "none"
    pvalue = ks_2samp(truth.reference, truth.window, method="asymp").pvalue
    return _BREAKS if np.isnan(pvalue) else "drift" if pvalue < 0.01 else "none"


def _table(truth: Truth) -> list[list[int]]:
    counts = [Counter(values.tolist()) for values in (truth.reference, truth.window)]
    return [[side[category] for category in sorted({*counts[0], *counts[1]})] for side in counts]


def is_right(truth: Truth, said: str) -> bool:
    """Say whether a verdict is right; a judge that knows two has to alarm when, and only when, there is a shift."""
    return said == truth.right or said == ("drift" if truth.right == "significant" else "none")


def table() -> str:
    """Return every case and what is said of it; a wrong verdict is marked."""
    judges: dict[str, Callable[[Truth], str]] = {
        "this project": ours, "textbook PSI": textbook, "Evidently's rule": evidently, "scipy": scipy,
    }  # fmt: skip
    lines = [f"| | right | {' | '.join(judges)} |", f"|{'---|' * (len(judges) + 2)}"]
    for truth in truths():
        said = [_said(judge, truth) for judge in judges.values()]
        cells = [each if is_right(truth, each) else f"**{each}**" for each in said]
        lines.append(f"| {truth.name} | {truth.right} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _said(judge: Callable[[Truth], str], truth: Truth) -> str:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return judge(truth)
        except (ValueError, IndexError, ZeroDivisionError):
            return _BREAKS


if __name__ == "__main__":
    print(table())
