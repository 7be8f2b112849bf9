"""Years of a model's nights over the same customers, in which nothing changes or one feature does.

What belongs here: the worlds, and their verdicts many nights at a time. What does not: claims. Verdicts are those of
``measure_drift``, of features without ties and without missing rows, which is what makes them fast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from include import partitions
from include.monitoring.data_quality import DataQuality
from include.monitoring.decision import decide
from include.monitoring.decision_facts import NightMetrics
from include.monitoring.feature_profile import FeatureProfile
from include.monitoring.outside import outside_psi, range_pvalue
from include.monitoring.psi import PROPORTION_FLOOR, adjust_for_multiplicity
from include.monitoring.reference_profile import build_reference_profile
from tests.unit.monitoring.nights import MONITORING, make_drift, make_ledger, make_policy

START, SNAPSHOTS, WEEK = "2026-01-01", 4, 7
MODERATE, SIGNIFICANT, LEVEL = 0.1, 0.2, 0.01
VERDICTS = ("stable", "moderate", "significant")
IMPORTANCE = {f"f{n}": 0.3 for n in range(3)}
_PSI = (0.02, 0.15, 0.3)


@dataclass(frozen=True)
class World:
    """Customers whose features are autoregressions; `alike` is their correlation from night to night."""

    rows: int
    features: int = 50
    alike: float = 0.98

    def nights(self, number: int, *, seed: int, shift: float = 0.0) -> np.ndarray:
        """Nights by features by customers; the first feature is shifted on all nights but those of the reference."""
        rng = np.random.default_rng([seed, self.rows])
        now, found = rng.normal(size=(self.features, self.rows)), []
        fresh = np.sqrt(1 - self.alike**2)
        for _ in range(number):
            found.append(now.astype(np.float32))
            now = self.alike * now + fresh * rng.normal(size=now.shape)
        nights = np.array(found)
        nights[SNAPSHOTS * WEEK :, 0] += shift
        return nights


def profile_of(nights: np.ndarray, *, until: int) -> tuple[FeatureProfile, ...]:
    """Freeze the four weekly snapshots that end before a night."""
    snapshots = nights[until - SNAPSHOTS * WEEK : until : WEEK]
    columns = {f"f{n}": snapshots[:, n].ravel() for n in range(nights.shape[1])}
    return build_reference_profile(columns, clusters=np.tile(np.arange(nights.shape[2]), SNAPSHOTS)).features


def judge(profile: tuple[FeatureProfile, ...], nights: np.ndarray) -> np.ndarray:
    """Return the verdict of each night and feature, by its place in VERDICTS."""
    effects, pvalues = zip(*(_measured(each, nights[:, n]) for n, each in enumerate(profile)), strict=True)
    effect, pvalue = np.stack(effects, axis=1), np.stack(pvalues, axis=1)
    sizes = (effect >= MODERATE).astype(np.int8) + (effect > SIGNIFICANT)
    found = np.zeros(effect.shape[:2], dtype=np.int8)
    for place in np.flatnonzero((pvalue < LEVEL).any(axis=(1, 2))):
        adjusted = adjust_for_multiplicity(pvalue[place].ravel()).reshape(pvalue[place].shape)
        found[place] = (sizes[place] * (adjusted < LEVEL)).max(axis=1)
    return found


def psi_of_nights(profile: FeatureProfile, nights: np.ndarray) -> np.ndarray:
    """Return the PSI of one feature's nights."""
    return _measured(profile, nights)[0][:, 0]


def _measured(profile: FeatureProfile, nights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return PSI and the size of what lies outside, and the p-values of both, of one feature's nights."""
    number, rows = nights.shape
    width = len(profile.counts)
    bins = np.searchsorted(np.array(profile.edges), nights.ravel(), side="left").reshape(nights.shape)
    counts = np.bincount((bins + width * np.arange(number)[:, None]).ravel(), minlength=width * number)
    share, expected = counts.reshape(number, width) / rows, np.array(profile.counts) / profile.rows
    p, q = (np.maximum(each, PROPORTION_FLOOR) for each in (expected, share))
    psi = ((q - p) * np.log(q / p)).sum(axis=1)
    worth = profile.rows / profile.effect.mean
    both = (worth * expected + rows * share) / (worth + rows)
    statistic = ((expected - share) ** 2 / both).sum(axis=1) / (1 / worth + 1 / rows)
    widening = 1 + profile.effect.spread * (rows / (worth + rows)) ** 2
    outside = ((nights < profile.minimum) | (nights > profile.maximum)).sum(axis=1)
    seen = {int(k): (outside_psi(profile.rows, 0, rows, k), range_pvalue(worth, 0, rows, k)) for k in set(outside)}
    beyond = np.array([seen[int(k)] if k else (0.0, 1.0) for k in outside])
    tail = chdtrc((width - 1) / widening, statistic / widening)
    return np.stack([psi, beyond[:, 0]], axis=1), np.stack([tail, beyond[:, 1]], axis=1)


def retrains(nights: np.ndarray) -> list[int]:
    """Return the nights on which a retrain was decided, each of which froze a reference of its own.

    Three features are what the model rests on; each of them counts alone.
    """
    monitoring = MONITORING.model_copy(update={"min_rows": nights.shape[2]})
    policy, first = make_policy(), SNAPSHOTS * WEEK
    profile, history, acted, version = profile_of(nights, until=first), [], [], 1
    verdicts = judge(profile, nights[first:])
    for place in range(first, len(nights)):
        tonight = verdicts[place - first]
        shifted = [make_drift(f"f{n}", psi=_PSI[tonight[n]]) for n in np.flatnonzero(tonight)]
        partition = partitions.shift(START, place)
        history.append(
            NightMetrics(partition, nights.shape[2], DataQuality("ok"), tuple(shifted), version, (), IMPORTANCE)
        )
        taken = tuple(partitions.shift(START, each) for each in acted)
        ledger = make_ledger(production_version=version, last_trained_partition=START, retrain_partitions=taken)
        if decide(history[-policy.windows :], policy, monitoring, ledger, partition=partition).action == "retrain":
            acted.append(place)
            version += 1
            rest = nights[place + 1 :]
            if len(rest):
                verdicts[place - first + 1 :] = judge(profile_of(nights, until=place + 1), rest)
    return acted
