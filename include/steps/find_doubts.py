"""Find the days whose data were an incident, of what labels are read from.

What belongs here: which days labels rest on, and what monitoring kept of their sources. What does not: judging a day's
data (``monitoring.data_quality``), and what labels say of a model (``measure_performance``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from include import partitions
from include.monitoring.data_quality import judge_volumes, of_arrivals, with_volumes
from include.monitoring.decision_facts import NightMetrics
from include.specs.labels import load_label_kind
from include.specs.models import ModelSpec
from include.specs.sources import load_source
from include.steps.read_arrivals import read_rows_delivered

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment

_NIGHT = TypeAdapter(NightMetrics)


def find_doubts(deployment: Deployment, spec: ModelSpec, nights: Collection[str], *, partition: str) -> str | None:
    """Say which of the days that labels rest on were an incident, in words; None where none of them was.

    An empty day makes everybody one who did nothing. A day is told as its night was measured, but for the volume of
    what was delivered, of which all is looked at that has come since.

    Parameters
    ----------
    nights : collection of str
        Of the predictions that are labelled; not empty.
    partition : str
        The night that asks; later days are not looked at.
    """
    since = partitions.shift(min(nights), 1)
    until = min(partitions.shift(max(nights), spec.label.horizon_days), partition)
    kept = map(_NIGHT.validate_python, deployment.state.nights(spec.model_id, since=since, until=until))
    sources = load_label_kind(spec.label.kind, deployment.settings.specs_overlay).sources
    arrived = {each: read_rows_delivered(deployment, load_source(each), until=until) for each in sources}
    found = {night.partition: told for night in kept if (told := _incident(spec, night, sources, arrived))}
    if not found:
        return None
    first = min(found)
    others = f", and on {len(found) - 1} more such" if len(found) > 1 else ""
    return f"the labels rest on {first}, whose data were an incident ({found[first]}){others}; have it delivered anew"


def _incident(
    spec: ModelSpec, night: NightMetrics, sources: Sequence[str], arrived: Mapping[str, Mapping[str, int]]
) -> str | None:
    volumes = judge_volumes(
        spec.monitoring, night=night.partition, rows_scored={night.partition: night.rows}, rows_delivered=arrived
    )
    checks = of_arrivals(with_volumes(night.checks, volumes), sources)
    return next((check.reason for check in checks if check.verdict == "breach"), None)
