"""The closing account of a demo: what happened, read from the tables, not from what was printed.

What belongs here: rows of the closing tables. What does not: printing them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.adapters.order_deliveries import DELIVERIES
from include.governance import lifecycle

if TYPE_CHECKING:
    from include.embedded.demo import Demo, DemoReport
    from include.steps.split_orders import OrdersSplit

ClosingTable = tuple[str, Sequence[str], Sequence[Sequence[object]]]


def closing_tables(loop: Demo, report: DemoReport, split: OrdersSplit) -> Iterator[ClosingTable]:
    """Yield title, columns and rows of each closing table."""
    yield "Rows", ("what became of them", "rows"), list(_row_account(loop, report, split))
    yield "Partitions", ("table", "partitions", "first", "last", "rows"), list(_partitions(loop))
    yield "Versions", ("version", "stage", "as of", "AUC on the later window", "p99 ms"), list(_versions(loop))
    yield "Decisions", ("night", "action", "trigger", "acted", "reasons"), list(_decisions(loop))
    yield "Ledger", ("night", "version", "move", "by", "reason"), list(_ledger(loop))
    yield "Runs that succeeded", ("DAG", "runs", "for example"), list(_runs(loop))
    yield "Time", ("stage", "seconds"), [*((name, f"{s:.0f}") for name, s in report.seconds.items()), *_totals(report)]


def _row_account(loop: Demo, report: DemoReport, split: OrdersSplit) -> Iterator[tuple[str, int]]:
    assert report.history is not None
    rules: Counter[str] = Counter(report.history.rules)
    rows_in, published = report.history.rows_in, report.history.rows_published
    deliveries = loop.deployment.lake.read(DELIVERIES)
    for delivery in deliveries.filter(pc.is_in(deliveries["delivered"], pa.array(split.nights))).to_pylist():
        rows_in += delivery["rows_in"]
        published += delivery["rows_published"]
        rules.update(json.loads(delivery["rules"]))
    yield "delivered", rows_in
    yield "published", published
    for rule, count in sorted(rules.items()):
        if count:
            yield f"quarantined: {rule}", count
    difference = rows_in - published - sum(rules.values())
    yield "unaccounted for", difference


def _partitions(loop: Demo) -> Iterator[tuple[object, ...]]:
    spec, lake = loop.spec, loop.deployment.lake
    for table in ("raw/orders", f"features/{spec.features.group}", f"predictions/{spec.model_id}"):
        days = lake.partitions(table)
        if days:
            yield table, len(days), days[0], days[-1], lake.dataset(table).count_rows()


def _versions(loop: Demo) -> Iterator[tuple[object, ...]]:
    moves = loop.deployment.state.ledger(loop.spec.model_id)
    evidence = {m.version: m.evidence for m in moves if m.evidence.get("gates")}
    for version, stage in lifecycle.stages(moves).items():
        gates = {gate["gate"]: gate for gate in evidence.get(version, {}).get("gates", [])}
        auc, latency = gates.get("auc", {}), gates.get("latency", {})
        yield (
            version,
            stage.value,
            evidence.get(version, {}).get("as_of"),
            auc.get("reason"),
            f"{latency.get('value', float('nan')):.3f}",
        )


def _decisions(loop: Demo) -> Iterator[tuple[object, ...]]:
    for d in loop.deployment.state.decisions(loop.spec.model_id):
        yield d.partition, d.action, d.trigger, "yes" if d.acted else "no", "; ".join(d.reasons)


def _ledger(loop: Demo) -> Iterator[tuple[object, ...]]:
    for m in loop.deployment.state.ledger(loop.spec.model_id):
        yield m.partition, m.version, f"{m.from_stage} → {m.to_stage}", m.actor, m.reason


def _runs(loop: Demo) -> Iterator[tuple[object, ...]]:
    for dag_id in loop.dags:
        succeeded = [run for run in loop.api.runs(dag_id) if run["state"] == "success"]
        yield dag_id, len(succeeded), succeeded[-1]["dag_run_id"] if succeeded else "none"


def _totals(report: DemoReport) -> Iterator[tuple[str, str]]:
    yield "all", f"{sum(report.seconds.values()):.0f}"
    yield "peak memory of all processes (PSS, MB)", f"{report.peak_pss_mb:.0f}"
