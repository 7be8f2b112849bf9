"""The report of a demo: its account as one HTML page that needs nothing beside it.

What belongs here: what the page says that the account does not say by itself (the outcome in
sentences, the heat map's order, the warnings). What does not: reading tables, which is the
account's, and how the page looks, for one model or several, which is ``report.html.j2``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from include import partitions
from include.governance.lifecycle import LedgerMove, Stage

if TYPE_CHECKING:
    from include.adapters.state.decisions import DecisionRow
    from include.demo.account import DemoAccount, ModelAccount
    from include.monitoring.feature_drift import FeatureDrift
    from include.views.deliveries import RowAccount
    from include.views.nights import Night

# Not strftime's: those follow the locale.
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SCORE = "score"
_UNBROKEN = re.compile(r"\d{4}-\d\d-\d\d|\d+ \w+")
_DONE = {
    "hold": ("held", "held"),
    "veto": ("vetoed", "vetoed"),
    "acted": ("retrain that acted", "retrains that acted"),
    "recorded": ("retrain that did not act", "retrains that did not act"),
    "undecided": ("not decided", "not decided"),
}


@dataclass(frozen=True)
class HeatRow:
    """A feature's drift by night; None for a night that was not measured, or without the feature."""

    feature: str
    cells: tuple[FeatureDrift | None, ...]


@dataclass(frozen=True)
class OtherDay:
    """Decisions and moves of a partition that is not among the nights that were played."""

    partition: str
    decisions: tuple[DecisionRow, ...]
    moves: tuple[LedgerMove, ...]


@dataclass(frozen=True)
class ModelPart:
    """What the page says of one model: its account, and what is made of it."""

    account: ModelAccount
    outcome: tuple[str, ...]
    heat_map: tuple[HeatRow, ...]
    before: tuple[OtherDay, ...]
    after: tuple[OtherDay, ...]

    @classmethod
    def of(cls, model: ModelAccount) -> ModelPart:
        """Return what the page says of a model."""
        first = model.nights[0].partition if model.nights else ""
        others = other_days(model)
        return cls(
            account=model,
            outcome=tell_outcome(model),
            heat_map=heat_map(model),
            before=tuple(day for day in others if day.partition < first),
            after=tuple(day for day in others if day.partition >= first),
        )


def render_report(account: DemoAccount) -> str:
    """Return the report as HTML: one file, without scripts and without anything from elsewhere.

    The same account gives the same page.
    """
    return _template().render(
        account=account,
        headline=tell_headline(account),
        approval=tell_approval(account),
        ledgers=list(row_accounts(account)),
        models=[ModelPart.of(model) for model in account.models],
        kind_of=kind_of,
        done=_DONE,
        untold=untold_findings,
    )


def tell_headline(account: DemoAccount) -> str:
    """Return how many nights were played, and what the models did in them, all together."""
    nights = "1 night" if len(account.deliveries) == 1 else f"{len(account.deliveries)} nights"
    models = f", {len(account.models)} models" if len(account.models) > 1 else ""
    told = _tell_nights(night for model in account.models for night in model.nights)
    return f"{nights}{models}: {told}." if told else "No night was played."


def tell_outcome(model: ModelAccount) -> tuple[str, ...]:
    """Return what became of a model in sentences: its nights first, then what became of the versions."""
    if not model.nights:
        return ("No night was played.", *_tell_versions(model, since=""))
    return (f"{_tell_nights(model.nights)}.", *_tell_versions(model, since=model.nights[0].partition))


def tell_approval(account: DemoAccount) -> str:
    """Return who approved: a person, or the demo in place of one."""
    moves = [move for model in account.models for move in model.ledger]
    approvers = sorted({m.actor for m in moves if (m.from_stage, m.to_stage) == (Stage.STAGING, Stage.PRODUCTION)})
    if not approvers:
        return "No version was approved."
    names = " and ".join(approvers)
    if account.approved_by_demo:
        return f"The demo approved in place of a person, signed in as {names}; the ledger's reasons say which versions."
    return f"Approved by {names}."


def kind_of(night: Night) -> str:
    """Return what a night is counted as: hold, veto, acted, recorded (a retrain that did not act) or undecided."""
    decision = night.decision
    if decision is None:
        return "undecided"
    if decision.action == "retrain":
        return "acted" if decision.acted else "recorded"
    return decision.action


def untold_findings(night: Night) -> tuple[str, ...]:
    """Return what was found wrong with the night's data and no decision of that night repeats."""
    told = "\n".join(reason for decision in night.decisions for reason in decision.reasons)
    findings = night.measured.data_quality.reasons if night.measured is not None else ()
    return tuple(finding for finding in findings if finding not in told)


def heat_map(model: ModelAccount) -> tuple[HeatRow, ...]:
    """Return the drift of each feature by night, the prediction's own last."""
    by_night = [
        {drift.feature: drift for drift in night.measured.drift} if night.measured else {} for night in model.nights
    ]
    features = dict.fromkeys(feature for drifts in by_night for feature in drifts)
    ordered = sorted(features, key=lambda feature: feature == _SCORE)
    return tuple(HeatRow(feature, tuple(drifts.get(feature) for drifts in by_night)) for feature in ordered)


def row_accounts(account: DemoAccount) -> Iterator[tuple[str, RowAccount]]:
    """Yield the accounts of rows with their names: the history, each night, and what earlier demos delivered."""
    yield "history", account.history
    if account.other_deliveries.delivered or account.other_deliveries.rows_quarantined:
        yield "earlier demos", account.other_deliveries
    yield from account.deliveries.items()


def other_days(model: ModelAccount) -> list[OtherDay]:
    """Return what the tables hold of days that were not played, in order."""
    played = {night.partition for night in model.nights}
    days = {d.partition for d in model.decisions} | {m.partition for m in model.ledger}
    return [
        OtherDay(
            day,
            tuple(d for d in model.decisions if d.partition == day),
            tuple(m for m in model.ledger if m.partition == day),
        )
        for day in sorted(days - played)
    ]


def _tell_nights(nights: Iterable[Night]) -> str:
    kinds = Counter(map(kind_of, nights))
    return ", ".join(
        f"{kinds[kind]} {one if kinds[kind] == 1 else many}" for kind, (one, many) in _DONE.items() if kinds[kind]
    )


def _tell_versions(model: ModelAccount, *, since: str) -> Iterator[str]:
    moves = [move for move in model.ledger if move.partition >= since]
    promotions = [move for move in moves if move.to_stage == Stage.PRODUCTION]
    yield from map(_tell_promotion, promotions)
    candidates = list(_tell_candidates(moves, promoted={move.version for move in promotions}))
    yield from candidates
    if promotions:
        return
    if not candidates and any(kind_of(night) == "acted" for night in model.nights):
        yield "No new version has come of the retrain."
    yield _tell_champion(model)


def _tell_candidates(moves: Sequence[LedgerMove], *, promoted: Collection[int]) -> Iterator[str]:
    for version in [move.version for move in moves if move.from_stage == Stage.NONE]:
        if version not in promoted:
            yield _tell_candidate([move for move in moves if move.version == version])


def _tell_promotion(move: LedgerMove) -> str:
    if move.from_stage == Stage.STAGING:
        return f"Version {move.version} went to Production on {move.partition}, approved by {move.actor}."
    return f"Version {move.version} went back to Production on {move.partition}, moved by {move.actor}."


def _tell_candidate(moves: Sequence[LedgerMove]) -> str:
    last = moves[-1]
    if last.to_stage == Stage.STAGING:
        return f"Version {last.version} waits in Staging for an approval."
    return f"Version {last.version} was archived on {last.partition}: {last.reason}."


def _tell_champion(model: ModelAccount) -> str:
    return (
        "Nothing is in Production." if model.production is None else f"Version {model.production} stays in Production."
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        # Always on: by its name jinja2 would not take the file for HTML.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"grouped": _grouped, "weekday": _weekday, "breakable": _breakable, "unbroken": _unbroken}
    return environment.get_template("report.html.j2")


def _grouped(number: int) -> str:
    return f"{number:,}".replace("-", "\N{MINUS SIGN}")


def _weekday(partition: str) -> str:
    return _WEEKDAYS[partitions.parse(partition).weekday()]


def _breakable(name: str) -> Markup:
    """Let a long name break after its underscores."""
    return Markup("_<wbr>").join(escape(part) for part in name.split("_"))


def _unbroken(sentence: str) -> Markup:
    """Keep days, and numbers with what they count, on one line."""
    return Markup(_UNBROKEN.sub(r'<span class="nowrap">\g<0></span>', str(escape(sentence))))  # noqa: S704 - escaped
