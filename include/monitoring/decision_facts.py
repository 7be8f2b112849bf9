"""What a decision rests on: measured nights, and what the ledger knew.

What belongs here: the values. What does not: measuring, reading the ledger, and deciding (``decision``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from include.monitoring.check import Check
from include.monitoring.data_quality import DataQuality
from include.monitoring.feature_drift import FeatureDrift
from include.monitoring.untrained import UntrainedRetrain


@dataclass(frozen=True)
class NightMetrics:
    """What monitoring measured for one partition.

    Attributes
    ----------
    partition : str
    rows : int
        Rows scored.
    data_quality : DataQuality
    drift : tuple of FeatureDrift
        One per feature, and one named ``score`` for the prediction.
    model_version : int or None
        The version whose bins the night was measured against.
    checks : tuple of Check
        What else is watched of the night: its data, predictions, performance, and how it was answered online.
    importance : mapping of str to float
        Each feature's share of what the version learned; empty of a night from before it was kept.
    young : mapping of str to int
        Features that look back further than there was history when the reference was sampled, and by how many days.
    age : int or None
        Which night of the version's life in Production it is, from 1 on; None of one before that, or from before it was
        kept.
    """

    partition: str
    rows: int
    data_quality: DataQuality
    drift: tuple[FeatureDrift, ...]
    model_version: int | None = None
    checks: tuple[Check, ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    young: Mapping[str, int] = field(default_factory=dict)
    age: int | None = None


@dataclass(frozen=True)
class LedgerFacts:
    """What the ledger knew before the partition was decided.

    Attributes
    ----------
    production_version : int or None
    last_trained_partition : str or None
        As-of day of the newest training.
    retrain_partitions : tuple of str
        Partitions of the retrains that acted, each as often as one did; without those of the next two.
    failed_partitions : tuple of str
        Partitions of the retrains that acted since the last version that passed its gates, and came to no version.
    refused_partitions : tuple of str
        Of those that came to a version that did not.
    candidate_waiting : bool
        A candidate waits for its approval.
    training_waiting : str or None
        The first night whose retrain acted and that no training has claimed.
    untrained : UntrainedRetrain or None
        The last retrain that acted, where its training has come to no version.
    newest_example : str or None
        Where a retrain brought the version into Production, the newest day that it learned from.
    is_live : bool
        A request that comes now is decided, not a night: a retrain of the night itself has happened before it.
    """

    production_version: int | None
    last_trained_partition: str | None
    retrain_partitions: tuple[str, ...] = ()
    failed_partitions: tuple[str, ...] = ()
    refused_partitions: tuple[str, ...] = ()
    candidate_waiting: bool = False
    training_waiting: str | None = None
    untrained: UntrainedRetrain | None = None
    newest_example: str | None = None
    is_live: bool = False
