"""The sections of a model's spec: what each key is, in which unit, and what is allowed.

What belongs here: the schema of each section, and what of its own values doesn't go together. What does not: the whole
spec and its file (``models``), and what a value means to a computation, which is where the computation is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from include.specs.yaml_files import Days, Fraction, Frozen, Identifier


class FeaturesSpec(Frozen):
    """Which versioned feature service the model reads, and the group it is built from."""

    service: Annotated[Identifier, Field(description="the feature service whose columns the model reads")]
    group: Annotated[Identifier, Field(description="the feature group whose rows are who is asked about")]


class HyperparametersSpec(Frozen):
    """XGBoost parameters, named as XGBoost names them."""

    n_estimators: Annotated[int, Field(ge=1, le=5000, description="trees")]
    learning_rate: Annotated[float, Field(gt=0, le=1, description="what each tree counts")]
    max_depth: Annotated[int, Field(ge=1, le=16, description="splits from root to leaf")]
    min_child_weight: Annotated[float, Field(ge=0, description="least sum of hessians in a leaf")] = 1.0
    subsample: Annotated[float, Field(gt=0, le=1, description="share of rows that each tree sees")] = 1.0
    colsample_bytree: Annotated[float, Field(gt=0, le=1, description="share of features that each tree sees")] = 1.0
    reg_lambda: Annotated[float, Field(ge=0, description="L2 penalty on a leaf's weight")] = 1.0


class TrainingSpec(Frozen):
    """Which examples are taken, how they are split, and how the model is fitted."""

    window_days: Annotated[
        Days, Field(description="days before the newest snapshot whose label is known, in which examples stand")
    ]
    snapshot_every_days: Annotated[Days, Field(description="days from one snapshot to the next")]
    test_days: Annotated[
        Days, Field(description="days of the latest snapshots, for the test; a gap of one horizon lies before them")
    ]
    min_rows: Annotated[int, Field(ge=10, description="examples; of fewer no model is made")]
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of the fit and of the intervals")]
    threads: Annotated[int, Field(ge=1, le=64, description="threads of the fit")]
    bootstrap_samples: Annotated[int, Field(ge=100, le=10_000, description="resamples of an interval")]
    hyperparameters: HyperparametersSpec


class GatesSpec(Frozen):
    """Thresholds a candidate must meet before anyone is asked to approve it; each task has some of its own."""

    latency_p99_ms_max: Annotated[
        float,
        Field(gt=0, description="milliseconds; most of the 99th percentile of calls with one entity, or with one list"),
    ]
    champion_margin: Annotated[
        float,
        Field(
            ge=0,
            le=0.2,
            description="of the task's metric; what a candidate may be worse by than the version in Production, at "
            "the lower end of the interval, unless the schedule asked for it",
        ),
    ] = 0.01
    scheduled_gain: Annotated[
        float,
        Field(
            ge=-0.2,
            le=0.2,
            description="of the task's metric; what a candidate that the schedule asked for must be better by than "
            "the version in Production, at the lower end of the interval; below 0 it may be worse",
        ),
    ] = 0.0

    def tell_idle(self) -> Iterator[str]:
        """Say which thresholds every model meets."""
        yield from ()


class BinaryGatesSpec(GatesSpec):
    """Thresholds of a classifier."""

    auc_min: Annotated[Fraction, Field(description="least area under the ROC curve on the test")]

    def tell_idle(self) -> Iterator[str]:
        """Say which thresholds every model meets."""
        if self.auc_min <= 0.5:
            yield f"gates.auc_min={self.auc_min:g} is no threshold: a model that guesses has 0.5"


class RankingGatesSpec(GatesSpec):
    """Thresholds of a ranking."""

    ndcg_min: Annotated[Fraction, Field(description="least NDCG of the first top_k of a list on the test")]

    def tell_idle(self) -> Iterator[str]:
        """Say which thresholds every model meets."""
        if self.ndcg_min == 0:
            yield "gates.ndcg_min=0 is no threshold: no list has less"


class RankingSpec(Frozen):
    """How a list is read. Of the entity's keys the last names its items, those before it whom it is for."""

    top_k: Annotated[int, Field(ge=1, le=1000, description="places of a list that are read; they are decided for")]


class ApprovalSpec(Frozen):
    """How long a candidate waits for a person."""

    response_timeout_hours: Annotated[
        int, Field(ge=1, le=24 * 90, description="hours until a question that nobody answers is closed")
    ]


class ScoringSpec(Frozen):
    """Who is scored by whom, and how long a correction of its features makes a score anew."""

    rescore_days: Annotated[
        int, Field(ge=0, le=90, description="nights whose scores are made anew when features are corrected")
    ] = 7
    incomplete: Annotated[
        Literal["score", "skip"],
        Field(
            description="what becomes of an entity of which another group of the service has no row within its ttl: it "
            "is scored, those features missing, or skipped"
        ),
    ] = "score"
    compute: Annotated[
        Literal["local", "spark"],
        Field(description="where scores are computed: on the cores of the task's own worker, or by Spark"),
    ] = "local"
    chunk_rows: Annotated[
        int | None,
        Field(
            ge=1_000,
            le=5_000_000,
            description="rows of the night's features that a task of its own scores, so that a night is scored by many "
            "workers; null: by one task",
        ),
    ] = None
    challenger: Annotated[
        bool, Field(description="true has the version in Staging score each night beside the one in Production")
    ] = False

    @model_validator(mode="after")
    def _one_way_to_many_workers(self) -> ScoringSpec:
        if self.chunk_rows is not None and self.compute == "spark":
            raise ValueError(
                f"compute='spark' and chunk_rows={self.chunk_rows} are two ways to many workers; take compute: local, "
                "or leave chunk_rows out"
            )
        return self


class BinaryScoringSpec(ScoringSpec):
    """How a probability becomes a decision."""

    decision_threshold: Annotated[Fraction, Field(description="a score from here on is a positive decision")]


class SliceSpec(Frozen):
    """A column by whose values performance is told apart."""

    column: Annotated[Identifier, Field(description="of the model's feature group")]
    ends: Annotated[
        tuple[float, ...],
        Field(max_length=7, strict=False, description="where a number is cut; none of a text: each value is a slice"),
    ] = ()

    @field_validator("ends")
    @classmethod
    def _ends_rise(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(end >= following for end, following in pairwise(value)):
            raise ValueError(f"{list(value)} does not rise; write each end once, the smallest first")
        return value


class MonitoringSpec(Frozen):
    """What counts as a shift, and what counts as broken data."""

    psi_moderate: Annotated[float, Field(gt=0, description="PSI from which a feature has shifted moderately")]
    psi_significant: Annotated[float, Field(gt=0, description="PSI from which it has shifted significantly")]
    min_rows: Annotated[int, Field(ge=1, description="rows on either side; with fewer there is no verdict")]
    missing_max: Annotated[Fraction, Field(description="most of a feature's share of missing values")]
    quarantined_max: Annotated[Fraction, Field(description="most of a delivery's share of rows that are set aside")]
    volume_ratio_min: Annotated[
        float, Field(gt=0, le=1, description="least of the scored rows against what is usual on that day of the week")
    ]
    volume_ratio_max: Annotated[float, Field(ge=1, description="most of them against it, and against the night before")]
    delivered_ratio_min: Annotated[
        float, Field(ge=0, le=1, description="least of a source's delivered rows against what is usual on that weekday")
    ] = 0.2
    delivered_ratio_max: Annotated[
        float, Field(ge=1, description="most of them against it, and against the day before")
    ] = 5.0
    prediction_ks_min: Annotated[
        Fraction, Field(description="least KS distance of scores that is a shift, beside p below 0.01")
    ] = 0.1
    performance_drop_max: Annotated[
        Fraction, Field(description="most of a metric's fall, as a share of what the version had on its test")
    ] = 0.05
    slices: Annotated[
        tuple[SliceSpec, ...], Field(max_length=5, strict=False, description="by what performance is told apart")
    ] = ()
    latency_ms_max: Annotated[
        float, Field(gt=0, description="milliseconds; most of the online answers' p50, p95 and p99 of a day")
    ] = 100.0
    errors_max: Annotated[
        Fraction, Field(description="most of the share of a day's online questions that are answered with an error")
    ] = 0.01
    price_ratio_max: Annotated[
        float, Field(gt=1, description="most of a watched column's daily median against the 28 days before")
    ]
    price_days: Annotated[Days, Field(description="days of a source that are judged each night")]

    @model_validator(mode="after")
    def _moderate_is_below_significant(self) -> MonitoringSpec:
        if self.psi_moderate >= self.psi_significant:
            raise ValueError(f"psi_moderate={self.psi_moderate} must be below psi_significant={self.psi_significant}")
        return self

    @field_validator("slices")
    @classmethod
    def _columns_differ(cls, value: tuple[SliceSpec, ...]) -> tuple[SliceSpec, ...]:
        names = [each.column for each in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} stands {names.count(name)} times; write each column once, with all its ends")
        return value


class DecisionSpec(Frozen):
    """When monitoring asks for a retrain."""

    schedule: Annotated[str | None, Field(description="cron, evaluated against the night; null: never by schedule")]
    windows: Annotated[int, Field(ge=1, le=90, description="nights that are looked at, M")]
    breaches: Annotated[int, Field(ge=1, le=90, description="of them that must have shifted, N")]
    features_min: Annotated[
        int, Field(ge=1, description="features that must have shifted significantly on such a night, and …")
    ]
    importance_min: Annotated[
        float,
        Field(gt=0, le=1, description="… share of the model's gain that they hold; one that does counts at any shift"),
    ] = 0.25
    estimated: Annotated[
        bool, Field(description="true: an estimated fall of the AUC asks as one that came true; it is told else")
    ] = False
    false_alarms: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="chance that drift ever asks in a version's life though nothing changes; it asks by one night "
            "then, that such a chance can't explain, and not by N of M; null: by N of M",
        ),
    ] = None
    cooldown_days: Annotated[int, Field(ge=0, le=365, description="days from one retrain to the next")]
    budget_per_90_days: Annotated[int, Field(ge=0, le=90, description="most retrains in 90 days")]
    stop: Annotated[bool, Field(description="true vetoes every retrain of the model")]

    @field_validator("schedule")
    @classmethod
    def _schedule_is_a_cron(cls, value: str | None) -> str | None:
        from croniter import CroniterBadDateError, croniter

        if value is None:
            return value
        if not croniter.is_valid(value):
            raise ValueError(f"{value!r} is not a cron expression, e.g. '0 0 1 * *' for monthly")
        try:
            croniter(value).get_next()
        except CroniterBadDateError as err:
            raise ValueError(f"{value!r} never comes; write a day that there is, e.g. '0 0 1 * *' for monthly") from err
        return value

    @property
    def drift_needed(self) -> tuple[int, int]:
        """On how many of how many nights drift has to show."""
        return (self.breaches, self.windows) if self.false_alarms is None else (1, 1)

    @model_validator(mode="after")
    def _breaches_fit_windows(self) -> DecisionSpec:
        if self.breaches > self.windows:
            raise ValueError(f"breaches={self.breaches} can't be above windows={self.windows}")
        return self
