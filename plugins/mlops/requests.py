"""Who or what asked for a training, read off the run that it started.

What belongs here: Airflow's facts about a run, as a plain value. What does not: whether the
request is granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from include.errors import UsageError, nearest
from include.words import LONGEST, as_line

if TYPE_CHECKING:
    from airflow.sdk.execution_time.comms import AssetEventResult

    from include.steps.claim_training import TrainingRequest

# What the form of a business event asks for.
EVENT = ("reason", "key")


def person_of(dag_run: Any) -> str:
    """Return the name of whoever triggered a run, as Airflow knows it; a schedule has none."""
    return getattr(dag_run, "triggering_user_name", None) or "an unknown user"


def describe_request(dag_run: Any, context: Mapping[str, Any]) -> TrainingRequest:
    """Return the request behind a run: a person's, a business event's, or monitoring's own signal.

    Raises
    ------
    UsageError
        If it is a business event that gives no reason.
    """
    from include.steps.claim_training import TrainingRequest

    if getattr(dag_run.run_type, "value", dag_run.run_type) == "manual":
        person = person_of(dag_run)
        return TrainingRequest(dag_run.run_id, f"asked for by hand by {person}", by_hand=True, requester=person)
    posted = [extra for extra in _extras(context) if extra.get("from_rest_api") or "reason" in extra]
    return business_event(dag_run.run_id, posted) if posted else TrainingRequest(dag_run.run_id)


def business_event(run_id: str, posted: Sequence[Mapping[str, Any]]) -> TrainingRequest:
    """Return the request that business events make, each by what its ``extra`` says.

    Raises
    ------
    UsageError
        If none gives a reason, or a decision can't keep what they give.
    """
    from include.steps.claim_training import TrainingRequest

    faults = [_find_fault(extra) for extra in posted]
    told = [extra for extra, fault in zip(posted, faults, strict=True) if fault is None]
    if not told:
        raise UsageError(
            f"a business event asks for a training and {faults[0]}; post it again with one: by a run of "
            "request_retrain__<model>, or in extra.reason of the event"
        )
    # What a post says of who it is from is anybody's word; a run's own is Airflow's.
    by_runs = [extra for extra in told if not extra.get("from_rest_api")]
    return TrainingRequest(
        run_id,
        f"business event: {'; '.join(map(as_line, _distinct(told, 'reason')))}",
        keys=_distinct(told, "key"),
        requester=", ".join(_distinct(by_runs, "by")) or "a business event",
    )


def posted_unheard(events: Iterable[AssetEventResult]) -> list[TrainingRequest]:
    """Return what each business event asks for that has started no run, in the order they were posted.

    Whoever waits for an asset and is paused does not hear of its events; Airflow keeps them all the same. One that
    gives no reason, or one that can't be kept, asks for nothing.
    """
    lost = (_extra(event) for event in events if event.partition_key and not event.created_dagruns)
    return [
        business_event(extra["key"], [extra])
        for extra in lost
        if extra.get("from_rest_api") and _find_fault(extra) is None
    ]


def _find_fault(extra: Mapping[str, Any]) -> str | None:
    """Say why an event asks for nothing: one that no database keeps would take down all that are heard with it."""
    words = {word: str(extra.get(word) or "") for word in EVENT}
    if not as_line(words["reason"]):
        return "gives no reason"
    for word, text in words.items():
        if len(text) > LONGEST or any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text):
            return f"gives a {word} that can't be kept; allowed are {LONGEST} characters, no null byte, no half of one"
    return None


def _distinct(extras: Sequence[Mapping[str, Any]], word: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(extra[word]) for extra in extras if extra.get(word)))


def describe_event(dag_run: Any, params: Mapping[str, Any]) -> dict[str, str]:
    """Return what a business event carries that was asked for by a run: its reason, who told, and what it is known by.

    Raises
    ------
    UsageError
        If the run was given a word that the form does not have: a key that is misspelt would ask twice.
    """
    # Airflow puts every word of conf among the params.
    if strays := sorted(set(params) - set(EVENT)):
        raise UsageError(
            f"conf has {', '.join(map(repr, strays))}, which is no word of the form; allowed: {', '.join(EVENT)}"
            f"{nearest(strays[0], EVENT)}"
        )
    return {"reason": params["reason"].strip(), "by": person_of(dag_run), "key": params["key"] or dag_run.run_id}


def _extras(context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what came with the events of a run; Airflow may have put several of one partition key into one."""
    triggering = (context.get("triggering_asset_events") or {}).values()
    return [_extra(event) for events in triggering for event in events]


def _extra(event: Any) -> dict[str, Any]:
    """Return what an event says; one that was posted without a key of its own is known by when it was."""
    extra = dict(event.extra or {})
    if extra.get("from_rest_api") and not extra.get("key"):
        extra["key"] = f"posted at {event.timestamp.astimezone(UTC).isoformat()}"
    return extra
