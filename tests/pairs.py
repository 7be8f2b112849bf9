"""The group of a customer and a category that ships, one that names the two in the other order, and rows of both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml

from include.features.checks import expected_schema
from include.partitions import end_of, parse
from include.settings import PROJECT_ROOT
from include.specs import deployed, groups, services
from include.specs.groups import load_feature_group
from include.specs.yaml_files import CONFIG_ROOT
from tests.deployments import forget_declarations
from tests.online_stores import FEATURE
from tests.online_stores import GROUP as OF_CUSTOMERS

# Both are keyed by the two, each in its own order.
GROUP, TURNED = "customer_category_daily", "category_customer"
KEYS = ("customer_id", "category")
# Of each the column that `pair_rows` is given, and one of the first that may be null there.
COUNT = {GROUP: "lines_365d", TURNED: f"orders_{TURNED}"}
SHARE = "share_365d"
# Of both groups, and of one of them and a group of customers.
SERVICE, MIXED = "pairs_v1", "mixed_v1"

Pair = tuple[str, str]
# They share parts, give one text when they are put together, have the bytes of another's part within their own, and
# mean something in a pattern.
PAIRS: list[Pair] = [
    ("a", "x"), ("a", "y"), ("b", "x"), ("ab", "c"), ("a", "bc"), ("x", "a"), ("", "a"), ("a", ""), ("Ω", "é"),
    ("b", "\x02\0\0\0\x01\0\0\0a"), ("\x02\0\0\0\x01\0\0\0a", "b"), ("*", "[a]"), ("?", "\\"), ("*a", "a*"),
]  # fmt: skip


@contextmanager
def specs_of_pairs(folder: Path) -> Iterator[None]:
    """Let specs be loaded from a copy of those that ship, beside the group and the services that only tests have."""
    root = folder / "config"
    shutil.copytree(CONFIG_ROOT, root)
    _write(root / "features" / f"{TURNED}.yaml", _turned())
    both = {GROUP: [COUNT[GROUP], SHARE], TURNED: [COUNT[TURNED]]}
    for name, features in ((SERVICE, both), (MIXED, {GROUP: [COUNT[GROUP]], OF_CUSTOMERS: [FEATURE]})):
        service = {"service": name, "description": "", "owner": "o", "features": features}
        _write(root / "services" / f"{name}.yaml", service)
    statements = folder / "include" / "features"
    shutil.copytree(PROJECT_ROOT / "include" / "features", statements)
    (statements / f"{TURNED}.sql").write_text("SELECT $start_day, $end_day")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "PROJECT_ROOT", folder)
        for module in (deployed, groups, services):
            patch.setattr(module, "CONFIG_ROOT", root)
        forget_declarations()
        yield
    forget_declarations()


def pair_rows(
    pairs: Sequence[Pair],
    day: str,
    *,
    group: str = GROUP,
    created_after: timedelta = timedelta(0),
    event_at: datetime | None = None,
    orders: Sequence[int] | None = None,
) -> pa.Table:
    """Return rows of one of the groups: seeded values, some null, its `COUNT` in their place where given."""
    rng, spec = np.random.default_rng(parse(day).toordinal()), load_feature_group(group)
    count, at = len(pairs), event_at or end_of(day)
    columns = {
        **{
            column.name: pa.array(rng.integers(0, 1000, count), mask=rng.random(count) < 0.2) for column in spec.columns
        },
        "customer_id": [customer for customer, _ in pairs],
        "category": [category for _, category in pairs],
        "event_timestamp": [at] * count,
        "created_timestamp": [at + created_after] * count,
        COUNT[group]: rng.integers(0, 1000, count) if orders is None else orders,
        "dt": [parse(day)] * count,
    }
    schema = expected_schema(spec)
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)


def _turned() -> dict[str, object]:
    values = yaml.safe_load((CONFIG_ROOT / "features" / f"{OF_CUSTOMERS}.yaml").read_text())
    [shipped] = [column for column in values["columns"] if column["name"] == FEATURE]
    entity = {"name": TURNED, "keys": [*KEYS[::-1]]}
    return {**values, "group": TURNED, "entity": entity, "columns": [{**shipped, "name": COUNT[TURNED]}]}


def _write(path: Path, values: dict[str, object]) -> None:
    path.write_text(yaml.safe_dump(values, sort_keys=False))
