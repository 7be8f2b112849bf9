"""Keep the hashes of history's rows outside the database, where whoever rewrites it does not reach them as well.

What belongs here: the one writing of heads. What does not: what a row's hash is, and comparing (`verify_registry`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.adapters.lake.ledger_heads import write_heads

if TYPE_CHECKING:
    from include.adapters.deployment import Deployment


def anchor_history(deployment: Deployment, model_id: str) -> None:
    """Keep the hash of each row of a model's histories that has none kept yet; again changes nothing."""
    for history, rows in deployment.state.histories(model_id).items():
        write_heads(deployment.lake, history, model_id, rows)
