from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from include.errors import UsageError
from mlops.events import require_taken

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(asset="retrain_churn", key=None, **source):
    told = {"source_task_id": None, "source_dag_id": None, **source}
    return SimpleNamespace(asset=SimpleNamespace(name=asset), partition_key=key, timestamp=AT, **told)


def test_events_with_a_key_are_taken_by_others():
    require_taken([event(key="2026-03-01"), event("features_customer_daily", key="2026-03-02")])
    require_taken([])


def test_each_event_without_a_key_is_told_with_where_it_came_from_and_what_to_do():
    posted, emitted = event(), event("features_order_risk", source_task_id="verify", source_dag_id="by_somebody")
    with pytest.raises(UsageError) as told:
        require_taken([event(key="2026-03-01"), posted, emitted])
    assert "the event of retrain_churn that was posted by hand at 2026-03-01 12:00:00Z" in str(told.value)
    assert "features_order_risk that was posted by verify of by_somebody" in str(told.value)
    assert "post it again with partition_key YYYY-MM-DD, a training by a run of request_retrain__<model>" in str(
        told.value
    )
