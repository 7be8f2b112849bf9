"""What was measured of one feature of one window.

What belongs here: the values, and them in words. What does not: measuring (``drift``), and the verdict
(``drift_verdict``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from include.monitoring.columns import Kind, Precision

Verdict = Literal["schema", "significant", "moderate", "stable", "insufficient"]


@dataclass(frozen=True)
class FeatureDrift:
    """One feature of one window, judged.

    Attributes
    ----------
    feature : str
    kind : {"numeric", "categorical"}
    reference_rows, current_rows : int
    verdict : {"schema", "significant", "moderate", "stable", "insufficient"}
        ``schema``: it is no longer the column that the reference knew.
    psi : float or None
        None where there are no bins or too few rows, as are the next two.
    psi_expected : float or None
        What two samples of one population of these sizes have on average.
    psi_pvalue : float or None
        Of this feature alone; the verdict corrects for the number of tests.
    missing_reference, missing_current : float or None
        Fractions of rows; None without rows.
    outside_range : float or None
        Fraction of the window's rows beyond the reference's range, or of unseen categories.
    reason : str or None
        Why there is no verdict, why a high PSI isn't held to be a shift, or what shows one that PSI doesn't.
    outside_pvalue : float or None
        Of so many rows outside, by chance; None where there are too few rows.
    ks, ks_pvalue : float or None
        Kolmogorov and Smirnov's largest distance, and how likely it is by chance; None without numbers on either side.
    wasserstein, wasserstein_normalised : float or None
        In the feature's unit, and in standard deviations of the reference.
    ks_error : float or None
        By how much the distance can be off, at most, as the reference is a sketch.
    independent_rows : float or None
        Reference rows with a number, as many as are worth one of their own.
    counts : tuple of int
        The window's rows in each bin of the reference, the missing ones last; empty where it was not counted.
    mostly : str or None
        Which bin has the largest share of a PSI that is a shift, in words.
    design_effect : float
        So many reference rows count for one, as entities recur in it.
    crowding_pvalue : float or None
        Of so many rows in one value, by chance, of a text column with too many values for bins.
    psi_low, psi_high : float or None
        Ends of the 95 % interval of the populations' PSI, without what chance adds; None where there is no PSI, and of
        nights that were kept without it.
    precision : {"float32", "float64"} or None
        In which the window's numbers were counted; None without values, and of nights that were kept without it, which
        were counted in the reference's own.
    """

    feature: str
    kind: Kind
    reference_rows: int
    current_rows: int
    verdict: Verdict
    psi: float | None
    psi_expected: float | None
    psi_pvalue: float | None
    missing_reference: float | None
    missing_current: float | None
    outside_range: float | None
    reason: str | None = None
    outside_pvalue: float | None = None
    ks: float | None = None
    ks_pvalue: float | None = None
    wasserstein: float | None = None
    wasserstein_normalised: float | None = None
    ks_error: float | None = None
    independent_rows: float | None = None
    counts: tuple[int, ...] = ()
    mostly: str | None = None
    design_effect: float = 1.0
    crowding_pvalue: float | None = None
    psi_low: float | None = None
    psi_high: float | None = None
    precision: Precision | None = None


def tell_drift(drift: FeatureDrift) -> str:
    """Say what was seen of a feature.

    Examples
    --------
    >>> tell_drift(FeatureDrift("x", "numeric", 500, 500, "significant", 0.31, 0.02, 1e-9, 0.0, 0.0, 0.0))
    'psi 0.310 (0.020 expected by chance)'
    """
    if drift.reason is not None or drift.psi is None:
        return drift.reason or drift.verdict
    mostly = f", {drift.mostly}" if drift.mostly else ""
    return f"psi {drift.psi:.3f} ({drift.psi_expected:.3f} expected by chance){mostly}"
