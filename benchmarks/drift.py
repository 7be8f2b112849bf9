"""Drift of a million rows against a million: this project, one pass over memory, numpy's own sort, scipy, Evidently.

What belongs here: the samples, the contenders, and the budgets. What does not: what the numbers mean, which
docs/drift.md says.

The samples are in memory and the reference is profiled before the clock starts, as it is with a version; Evidently
keeps no profile and is given both samples.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.side_by_side import Contender, Race, race

if TYPE_CHECKING:
    from include.monitoring.feature_profile import FeatureProfile

FEATURES, ROWS, ROUNDS = 50, 1_000_000, 3
# scipy and Evidently take so long that the races against them have a part of the features.
FEW = 5

PASS_MAX, EVIDENTLY_MIN, SORT_MAX, SCIPY_MIN = 5.0, 100.0, 2.5, 4.0

_HERE = "benchmarks.drift"
_PSI, _PASS, _EVIDENTLY = "PSI over frozen bins", "one pass over memory", "Evidently's PSI"
_SORT, _OURS = "np.sort of both samples", "KS and Wasserstein, exact"
_SCIPY = "scipy's ks_2samp and wasserstein_distance"


def samples(rows: int, features: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return a reference and a window for each feature, a twentieth of a deviation apart."""
    rng = np.random.default_rng(18)
    return [(rng.normal(size=rows), rng.normal(0.05, 1, rows)) for _ in range(features)]


def one_pass(rows: int, features: int) -> Callable[[], object]:
    """Return the sum of every window, in as many threads as this project counts in."""
    from include.monitoring.side_by_side import side_by_side

    windows = [window for _, window in samples(rows, features)]
    return lambda: side_by_side(np.sum, windows, values=rows * features)


def psi(rows: int, features: int) -> Callable[[], object]:
    """Return PSI of every window over the frozen bins of its reference, with what lies outside."""
    from include.monitoring.binning import count_over
    from include.monitoring.psi import psi_from_counts
    from include.monitoring.reference_profile import build_reference_profile
    from include.monitoring.side_by_side import side_by_side

    columns = [
        (build_reference_profile({"x": reference}).features[0], window) for reference, window in samples(rows, features)
    ]

    def psi_of(column: tuple[FeatureProfile, NDArray[np.float64]]) -> float:
        feature, window = column
        return psi_from_counts(feature.counts, count_over(feature, window).bins)

    return lambda: side_by_side(psi_of, columns, values=rows * features)


def evidently(rows: int, features: int) -> Callable[[], object]:
    """Return Evidently's report of every window against its reference, in a process of an environment of its own."""
    from benchmarks.server_race import script

    asked = subprocess.Popen(
        script("evidently_psi", str(rows), str(features)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    if asked.stdout is None or asked.stdin is None or asked.stdout.readline() != "ready\n":
        raise RuntimeError("Evidently's process did not come up")
    stdin, stdout = asked.stdin, asked.stdout

    def run() -> float:
        stdin.write("\n")
        return float(stdout.readline())

    return run


def sort(rows: int, features: int) -> Callable[[], object]:
    """Return both samples of every feature, sorted and forgotten."""
    pairs = samples(rows, features)
    return lambda: [np.sort(sample)[0] for pair in pairs for sample in pair]


def ours(rows: int, features: int) -> Callable[[], object]:
    """Return the comparison of this project."""
    from include.monitoring.two_sample import compare_numeric

    pairs = samples(rows, features)
    return lambda: [compare_numeric(*pair) for pair in pairs]


def scipys(rows: int, features: int) -> Callable[[], object]:
    """Return the comparison of scipy."""
    from scipy.stats import ks_2samp, wasserstein_distance

    pairs = samples(rows, features)
    return lambda: [(ks_2samp(*pair, method="asymp"), wasserstein_distance(*pair)) for pair in pairs]


def main(scale: float = 1.0) -> None:
    """Run the races and say whether the budgets hold."""
    rows = max(int(ROWS * scale), 1_000)
    sizes = {"rows": rows, "features": FEATURES}
    few = {"rows": rows, "features": FEW}
    counted = race(
        f"PSI: {FEATURES} features x {rows} rows",
        [Contender(_PASS, f"{_HERE}:one_pass", sizes), Contender(_PSI, f"{_HERE}:psi", sizes)],
        rounds=ROUNDS,
        baseline=_PASS,
    )
    print(_budget(counted.ratio(_PSI) <= PASS_MAX, f"PSI is {counted.ratio(_PSI):.1f} passes, at most {PASS_MAX:g}"))
    peer = race(
        f"PSI: {FEW} features x {rows} rows",
        [Contender(_PSI, f"{_HERE}:psi", few), Contender(_EVIDENTLY, f"{_HERE}:evidently", few)],
        rounds=ROUNDS,
        baseline=_PSI,
    )
    slower = peer.ratio(_EVIDENTLY)
    print(_budget(slower >= EVIDENTLY_MIN, f"Evidently takes {slower:.0f} times as long, at least {EVIDENTLY_MIN:g}"))
    compared = race(
        f"KS and Wasserstein: {FEW} features x {rows} rows against {rows}",
        [
            Contender(_SORT, f"{_HERE}:sort", few),
            Contender(_OURS, f"{_HERE}:ours", few),
            Contender(_SCIPY, f"{_HERE}:scipys", few),
        ],
        rounds=ROUNDS,
        baseline=_SORT,
    )
    _tell(compared)


def _tell(compared: Race) -> None:
    ratio = compared.ratio
    print(_budget(ratio(_OURS) <= SORT_MAX, f"KS and Wasserstein are {ratio(_OURS):.1f} sorts, at most {SORT_MAX:g}"))
    faster = ratio(_SCIPY) / ratio(_OURS)
    print(_budget(faster >= SCIPY_MIN, f"scipy takes {faster:.1f} times as long, at least {SCIPY_MIN:g}"))


def _budget(holds: bool, words: str) -> str:
    return f"{'within' if holds else 'BEYOND'} its budget: {words}"


if __name__ == "__main__":
    main()
