"""Evidence as gates leave it."""

from __future__ import annotations

import json

from include.governance.evidence import Evidence, GateReport, TrainedOn
from include.training.manifest import Provenance

GATES = (
    GateReport("auc", "pass", 0.91, 0.85, "AUC 0.9100 ≥ 0.85, 95 % interval [0.9001, 0.9199]"),
    GateReport("latency", "pass", 0.041, 50.0, "p99 of 2000 one-row calls is 0.041 ms, at most 50 ms"),
    GateReport("manifest", "pass", None, None, "complete: commit c0ffee, 8123 rows of 2026-01-01-0123456789ab"),
)


# As PostgreSQL gave it back before evidence was typed.
KEPT = json.loads("""
{
  "as_of": "2026-03-14",
  "gates": [
    {"gate": "auc", "value": 0.8712, "reason": "AUC 0.8712 ≥ 0.85, 95 % interval [0.8609, 0.8817]", "verdict": "pass",
     "threshold": 0.85},
    {"gate": "latency", "value": 0.041, "reason": "p99 of 2000 one-row calls is 0.041 ms, at most 50 ms",
     "verdict": "pass", "threshold": 50.0},
    {"gate": "manifest", "value": null, "reason": "lock_sha256 unknown", "verdict": "unknown", "threshold": null}
  ],
  "run_id": "5f0c2b",
  "trained_on": {
    "rows": 8123,
    "set_id": "2026-03-14-0123456789ab",
    "sources": {"raw/orders": 0, "features/customer_daily": 0},
    "provenance": {"code_commit": "c0ffee", "lock_sha256": "10c4", "code_changed": null, "image_digest": null},
    "rows_sha256": "aa",
    "spec_sha256": "bb"
  }
}
""")


def make_evidence(as_of: str = "2026-01-01", *, gates: tuple[GateReport, ...] = GATES) -> Evidence:
    """Return the evidence of a candidate that was trained as of a day."""
    return Evidence(
        as_of=as_of,
        run_id="a1b2",
        gates=gates,
        trained_on=TrainedOn(
            rows=8123,
            set_id=f"{as_of}-0123456789ab",
            sources={"raw/orders": 3, "features/customer_daily": 4},
            provenance=Provenance("c0ffee", "10c4", code_changed=False, image_digest=None),
            rows_sha256="aa",
            spec_sha256="bb",
        ),
    )
