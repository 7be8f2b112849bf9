"""The closing tables of a demo, as a terminal prints them.

What belongs here: titles, columns and rows. What does not: reading the account, and drawing the
tables, which is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from include.demo.account import DemoAccount, ModelAccount
    from include.views.versions import ModelVersion

ClosingTable: TypeAlias = tuple[str, Sequence[str], Sequence[Sequence[object]]]


def closing_tables(account: DemoAccount) -> Iterator[ClosingTable]:
    """Yield title, columns and rows of each closing table."""
    yield "Rows", ("what became of them", "rows"), list(_rows(account))
    yield (
        "Partitions",
        ("table", "partitions", "first", "last", "rows"),
        [(table.name, table.partitions, table.first, table.last, table.rows) for table in account.tables],
    )
    yield (
        "Versions",
        ("model", "version", "stage", "as of", "metric on the later window", "p99 ms"),
        [(model.model_id, *_version(version)) for model in account.models for version in model.versions],
    )
    yield (
        "Decisions",
        ("model", "night", "action", "trigger", "acted", "reasons"),
        [row for model in account.models for row in _decisions(model)],
    )
    yield (
        "Ledger",
        ("model", "night", "version", "move", "by", "reason"),
        [
            (model.model_id, m.partition, m.version, f"{m.from_stage} → {m.to_stage}", m.actor, m.reason)
            for model in account.models
            for m in model.ledger
        ],
    )
    yield (
        "Online answers",
        ("model", "questions", "median ms", "slowest ms", "largest difference from the batch"),
        list(_online(account)),
    )
    yield (
        "Runs that succeeded",
        ("DAG", "runs", "for example"),
        [(dag.dag_id, len(dag.run_ids), dag.run_ids[-1] if dag.run_ids else "none") for dag in account.runs],
    )
    yield "Time", ("stage", "seconds"), list(_time(account))


def _rows(account: DemoAccount) -> Iterator[tuple[str, int]]:
    rows = account.rows
    yield "delivered", rows.delivered
    yield "published", rows.published
    for rule, count in rows.quarantined:
        if count:
            yield f"quarantined: {rule}", count
    yield "unaccounted for", rows.unaccounted


def _version(version: ModelVersion) -> tuple[object, ...]:
    gates = {gate.gate: gate for gate in version.gates}
    metric, latency = gates.get("auc", gates.get("ndcg")), gates.get("latency")
    return (
        version.version,
        version.stage.value,
        version.as_of or "unknown",
        metric.reason if metric is not None else "not judged",
        "not measured" if latency is None or latency.value is None else f"{latency.value:.3f}",
    )


def _decisions(model: ModelAccount) -> Iterator[tuple[str, ...]]:
    """Yield what did not hold, and how often the model held: three models hold nearly every night."""
    for d in model.decisions:
        if d.action != "hold":
            acted = "yes" if d.acted else "no"
            yield model.model_id, d.partition, d.action, d.trigger, acted, "; ".join(d.reasons)
    if held := len({d.partition for d in model.decisions if d.action == "hold"}):
        nights = "1 night" if held == 1 else f"{held} nights"
        yield model.model_id, nights, "hold", "none", "no", "the report tells the reasons of each"


def _online(account: DemoAccount) -> Iterator[tuple[object, ...]]:
    for each in account.online:
        difference = f"{each.largest_difference:.1g}"
        yield each.model_id, each.questions, f"{each.median_ms:.1f}", f"{each.slowest_ms:.1f}", difference


def _time(account: DemoAccount) -> Iterator[tuple[str, str]]:
    for stage in account.stages:
        yield stage.name, f"{stage.seconds:.0f}"
    yield "all", f"{account.seconds:.0f}"
    yield "peak memory of all processes (PSS, MB)", f"{account.peak_pss_mb:.0f}"
