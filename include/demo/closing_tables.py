"""The closing tables of a demo, as a terminal prints them.

What belongs here: titles, columns and rows. What does not: reading the account, and drawing the
tables, which is the command line's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from include.demo.account import DemoAccount
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
        ("version", "stage", "as of", "AUC on the later window", "p99 ms"),
        [_version(version) for version in account.versions],
    )
    yield (
        "Decisions",
        ("night", "action", "trigger", "acted", "reasons"),
        [
            (d.partition, d.action, d.trigger, "yes" if d.acted else "no", "; ".join(d.reasons))
            for d in account.decisions
        ],
    )
    yield (
        "Ledger",
        ("night", "version", "move", "by", "reason"),
        [(m.partition, m.version, f"{m.from_stage} → {m.to_stage}", m.actor, m.reason) for m in account.ledger],
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


def _time(account: DemoAccount) -> Iterator[tuple[str, str]]:
    for stage in account.stages:
        yield stage.name, f"{stage.seconds:.0f}"
    yield "all", f"{account.seconds:.0f}"
    yield "peak memory of all processes (PSS, MB)", f"{account.peak_pss_mb:.0f}"
