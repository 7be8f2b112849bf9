"""A name that is asked for is one of the folder's files, whatever path it would make."""

from __future__ import annotations

import pytest

from include.errors import SpecError
from include.specs.groups import load_feature_group
from include.specs.labels import load_label_kind
from include.specs.models import load_model
from include.specs.services import load_feature_service

NAMES = ["../../etc", "../models/churn", "../features/customer_daily", "/etc/passwd", "customer_daily.yaml", ".", "",
         "a\0b", "x" * 5000, "customer_daily\n", "~root", "*", "[c]ustomer_daily"]  # fmt: skip
KINDS = {
    "feature group": load_feature_group,
    "feature service": load_feature_service,
    "model": load_model,
    "kind of label": lambda name: load_label_kind(name, None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name)[:30])
def test_no_name_is_a_path(name, kind):
    with pytest.raises(SpecError) as raised:
        KINDS[kind](name)
    told = str(raised.value)
    assert told.startswith(f"there is no {kind} {name!r}; known: ")
    assert "\n" not in told
