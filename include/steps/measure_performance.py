"""Measure what a model's predictions were worth, as far as a night knows what happened.

What belongs here: which nights are old enough to be judged, by which version's promise. What does not: the metrics and
the verdict (``monitoring.performance``), and recording outcomes (``record_outcomes``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include import partitions
from include.errors import MlopsError, one_line
from include.monitoring.check import Check
from include.monitoring.maturity import SHARE_MIN, mature_after
from include.monitoring.performance import FALL_MAX, Reference, judge_fall, promised_by, tell, unjudged
from include.question.labels import LABEL
from include.scoring.predictions import CHAMPION, DECISION, ROLE
from include.specs.models import BinaryModelSpec, ModelSpec, RankingModelSpec
from include.steps.explain_fall import explain_fall
from include.steps.find_doubts import find_doubts
from include.steps.load_version import load_version
from include.steps.measure_slices import measure_slices
from include.steps.measured_lists import measure_rows
from include.steps.read_outcomes import learn_from, read_labelled
from include.tables import outcomes_name, predictions_name
from include.training.outcome_metrics import Measured, measure_binary, measure_ranking

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment
    from include.adapters.registry.model_files import LoadedModel

log = logging.getLogger(__name__)

# One tells soon where nights are large, the others surely where they are small.
WINDOWS = (1, 7, 28)
# What a version is judged by: of a classifier the AUC, of a ranking the NDCG.
_JUDGED_BY = {"binary": "auc", "ranking": "ndcg"}


@dataclass(frozen=True)
class _Window:
    """Nights that are judged together."""

    nights: tuple[str, ...]

    @property
    def suffix(self) -> str:
        return "" if len(self.nights) == 1 else f"_{len(self.nights)}_nights"

    def tell(self, rows: pa.Table) -> str:
        """Say which predictions rows are: of the nights that they are of, or of all of these where there are none."""
        found = sorted(map(str, pc.unique(rows["dt"]).to_pylist())) or self.nights
        return f"predictions of {found[0]}" + (f" to {found[-1]}" if len(found) > 1 else "")


def measure_performance(
    deployment: Deployment,
    spec: ModelSpec,
    partition: str,
    *,
    fall_max: float = FALL_MAX,
    tested: pa.Table | None = None,
) -> tuple[Check, ...]:
    """Return what is known at the end of a night of how well a model predicted.

    Judged is the version that governs the night, as champion, against the metric of its own test: ``auc`` (of a
    ranking ``ndcg``) of the newest night that is old enough, and ``auc_7_nights`` and ``auc_28_nights`` of the last
    ones up to it. Of the longest window each slice is judged that the spec names, as ``auc_28_nights[country=DE]``;
    the other metrics are told; so is that metric of every other version and role.

    Parameters
    ----------
    partition : str
        The night; what became known later is not looked at.
    fall_max : float
        The share of its own value that a version's metric may fall by.
    tested : pyarrow.Table, optional
        What the version that governs the night was tested on, as `read_tested` returns it; without it slices are told
        and not judged.

    Returns
    -------
    tuple of Check
        All of watch ``performance``. One that can't be judged is ``unknown`` and says why, and from when on it can be;
        nothing at all where no version governs the night.
    """
    version = deployment.state.production_version_at(spec.model_id, partition)
    if version is None:
        return ()
    judged = _JUDGED_BY[spec.task]
    recorded = deployment.state.publications(outcomes_name(spec.model_id))
    # A night that was recorded later knows what this one did.
    if max(recorded, default="") < partition:
        return (
            unjudged(
                judged,
                f"the outcomes that {partition} tells are not recorded (mlops outcomes record --model {spec.model_id} "
                f"--date {partition})",
            ),
        )
    age = mature_after(learn_from(deployment, spec, partition=partition), horizon_days=spec.label.horizon_days)
    last = partitions.shift(partition, -age)
    nights = partitions.span(partitions.shift(last, 1 - max(WINDOWS)), last)
    scored = deployment.state.publications(predictions_name(spec.model_id))
    known = [night for night in nights if night in scored]
    if not known:
        return (unjudged(judged, _too_young(spec, version, age, min(scored, default=None))),)
    rows = read_labelled(deployment, spec, known, partition=partition)
    # Its metrics are among the files whose sha256 its registration pins.
    loaded = load_version(deployment, spec.model_id, version)
    reference = promised_by(loaded.metrics, judged)
    windows = [_Window(tuple(nights[-size:])) for size in WINDOWS]
    champion = rows.filter(pc.and_(pc.equal(rows[ROLE], CHAMPION), pc.equal(rows["model_version"], version)))
    checks = [
        *_judge(spec, champion, windows, reference, version, age, fall_max),
        *_judge_slices(deployment, spec, champion, windows[-1], tested, version, age, fall_max),
        *_tell_others(deployment, spec, rows, windows[-1], version),
    ]
    checks = _explained(deployment, spec, champion, loaded, tested, reference, checks, windows)
    checks = _doubted(deployment, spec, checks, windows, partition)
    log.info(
        "performance model=%s partition=%s until=%s %s",
        spec.model_id, partition, last, {check.name: (check.value, check.verdict) for check in checks},
    )  # fmt: skip
    return tuple(checks)


def _too_young(spec: ModelSpec, version: int, age: int, first: str | None) -> str:
    if first is None:
        return f"{spec.model_id} has scored nobody yet"
    return (
        f"no night of version {version} can be judged yet: labels take {age} days, and the first scores are of "
        f"{first}; judged from {partitions.shift(first, age)} on"
    )


def _judge(
    spec: ModelSpec,
    champion: pa.Table,
    windows: Sequence[_Window],
    reference: Reference | None,
    version: int,
    age: int,
    fall_max: float,
) -> Iterator[Check]:
    judged = _JUDGED_BY[spec.task]
    for window in windows:
        rows = _within(champion, window)
        name, about = f"{judged}{window.suffix}", f"{window.tell(rows)} by version {version}"
        if why := _cannot_judge(spec, rows, age):
            yield unjudged(name, f"{about}: {why}", rows=rows.num_rows)
            continue
        measured = _measure(spec, rows)
        if isinstance(spec, RankingModelSpec) and not measured.rows:
            yield unjudged(name, f"{about}: no list of which every label is known has a positive item")
            continue
        yield judge_fall(name, measured.figures[judged], reference, rows=measured.rows, about=about, fall_max=fall_max)
        if window is windows[-1]:
            for other in list(measured.figures)[1:]:
                yield tell(f"{other}{window.suffix}", measured.figures[other], rows=measured.rows, about=about)


def _explained(
    deployment: Deployment,
    spec: ModelSpec,
    champion: pa.Table,
    loaded: LoadedModel,
    tested: pa.Table | None,
    reference: Reference | None,
    checks: list[Check],
    windows: Sequence[_Window],
) -> list[Check]:
    """Return checks, of the first ones that of the widest window that is a breach with what it is of.

    The first ones are those of all rows, one for each window.
    """
    if tested is None or reference is None:
        return checks
    fallen = [place for place in range(len(windows)) if checks[place].verdict == "breach"]
    if not fallen:
        return checks
    widest = fallen[-1]
    try:
        causes = explain_fall(deployment, spec, _within(champion, windows[widest]), loaded, tested, reference)
    except (ArithmeticError, LookupError, TypeError, ValueError) as err:
        # A fault of ours in telling why: that there is a fall stands without it. What a store says is tried again.
        log.exception("a fall of %s can't be explained", spec.model_id)
        causes = (f"what it is of can't be told: {one_line(err)}",)
    return [replace(check, causes=causes) if place == widest else check for place, check in enumerate(checks)]


def _doubted(
    deployment: Deployment, spec: ModelSpec, checks: Sequence[Check], windows: Sequence[_Window], partition: str
) -> list[Check]:
    """Return checks, each breach with the days whose data were an incident, of those that its labels rest on."""
    nights = {f"{_JUDGED_BY[spec.task]}{window.suffix}": window.nights for window in windows}

    @cache
    def doubts_of(judged: tuple[str, ...]) -> str | None:
        return find_doubts(deployment, spec, judged, partition=partition)

    def doubted(check: Check) -> Check:
        doubts = doubts_of(nights.get(check.name, windows[-1].nights)) if check.verdict == "breach" else None
        return replace(check, reason=f"{check.reason}; {doubts}") if doubts else check

    return [doubted(check) for check in checks]


def _judge_slices(
    deployment: Deployment,
    spec: ModelSpec,
    champion: pa.Table,
    window: _Window,
    tested: pa.Table | None,
    version: int,
    age: int,
    fall_max: float,
) -> Iterator[Check]:
    rows = _within(champion, window)
    if _cannot_judge(spec, rows, age) is None:
        yield from measure_slices(
            deployment, spec, rows, tested, fall_max=fall_max, name=f"{_JUDGED_BY[spec.task]}{window.suffix}",
            about=f"{window.tell(rows)} by version {version}",
        )  # fmt: skip


def _tell_others(
    deployment: Deployment, spec: ModelSpec, rows: pa.Table, window: _Window, version: int
) -> Iterator[Check]:
    """Tell the metric of what other versions scored, beside what it was on their tests, and of other roles.

    A version that was replaced before its labels came is told so, and asks for nothing: it has been answered.
    """
    judged = _JUDGED_BY[spec.task]
    pairs = rows.group_by([ROLE, "model_version"]).aggregate([]).to_pylist()
    for pair in sorted(pairs, key=lambda each: (each[ROLE], each["model_version"])):
        role, other = pair[ROLE], pair["model_version"]
        if (role, other) == (CHAMPION, version):
            continue
        own = rows.filter(pc.and_(pc.equal(rows[ROLE], role), pc.equal(rows["model_version"], other)))
        known = own.num_rows - own[LABEL].null_count
        if known < spec.monitoring.min_rows:
            continue
        name = f"{judged}{window.suffix}_{role}_v{other}"
        about = f"{window.tell(own)} by version {other} as {role}, which is not judged"
        if why := _lacks_labels(own):
            yield unjudged(name, f"{about}: {why}", rows=own.num_rows)
            continue
        measured = _measure(spec, own)
        yield tell(
            name,
            measured.figures[judged],
            rows=measured.rows,
            about=about,
            reference=_promise(deployment, spec, other),
        )


def _promise(deployment: Deployment, spec: ModelSpec, version: int) -> Reference | None:
    """Return what a version that is told had on its test; None where its files are no more what was registered."""
    try:
        return promised_by(load_version(deployment, spec.model_id, version).metrics, _JUDGED_BY[spec.task])
    except MlopsError as err:
        log.warning("performance model=%s version=%d can't be read: %s", spec.model_id, version, err)
        return None


def _within(rows: pa.Table, window: _Window) -> pa.Table:
    days = pa.array([partitions.parse(night) for night in window.nights], pa.date32())
    return rows.filter(pc.is_in(rows["dt"], days))


def _cannot_judge(spec: ModelSpec, rows: pa.Table, age: int) -> str | None:
    if rows.num_rows == 0:
        return f"it scored none of them; its first night is judged {age} days after it"
    if why := _lacks_labels(rows):
        return why
    known = rows.num_rows - rows[LABEL].null_count
    if known < spec.monitoring.min_rows:
        return f"{known} rows; fewer than {spec.monitoring.min_rows} give no verdict"
    return None


def _lacks_labels(rows: pa.Table) -> str | None:
    known = rows.num_rows - rows[LABEL].null_count
    if known >= SHARE_MIN * rows.num_rows:
        return None
    return f"the labels of {known} of {rows.num_rows} rows are known, and which are is not chance"


def _measure(spec: ModelSpec, rows: pa.Table) -> Measured:
    samples, seed = spec.training.bootstrap_samples, spec.training.seed
    match spec:
        case BinaryModelSpec():
            rows = rows.filter(pc.is_valid(rows[LABEL]))
            return measure_binary(
                rows[LABEL].cast(pa.int8()).to_numpy(),
                rows["score"].to_numpy(),
                rows[DECISION].to_numpy(zero_copy_only=False),
                rows[spec.entity.keys[0]].to_pylist(),
                samples=samples,
                seed=seed,
            )
        case RankingModelSpec():
            found = measure_rows(spec, rows, "dt")
            return measure_ranking(found.metrics, found.owners, top_k=spec.ranking.top_k, samples=samples, seed=seed)
    raise NotImplementedError(spec.task)
