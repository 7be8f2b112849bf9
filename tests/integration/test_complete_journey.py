"""A grocer's log as PyPI has it: what its contract counts, and the specs of its overlay on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.settings import Settings
from include.specs.deployed import load_specs
from include.specs.models import load_model
from include.specs.yaml_files import CONFIG_ROOT
from include.steps.build_features import build_features
from include.steps.import_source import ImportAccount, import_file
from include.steps.read_labels import read_labels
from tests.deployments import lake_only
from tests.everyday import members
from tests.real_data import complete_journey, export_complete_journey

OVERLAY = CONFIG_ROOT / "overlays" / "complete_journey"
AS_OF = datetime(2018, 1, 2, tzinfo=UTC)
DAY = "2017-11-19"
FORMAT = "complete-journey"
# Of every household, and of one in eight: how many lines there are, of no pieces, and of no value.
LINES = {1: (1_469_307, 8_869, 11_226), 8: (196_152, 1_096, 1_401)}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grocer")
    export_complete_journey(folder)
    return folder


@pytest.fixture(scope="module", params=members(LINES, daily=[8]), ids=lambda every: f"one household in {every}")
def every(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def deployment(every, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    folder = tmp_path_factory.mktemp("grocer_home")
    made = lake_only(folder)
    made.settings = Settings.from_env({"MLOPS_HOME": str(folder), "MLOPS_SPECS": str(OVERLAY)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_SPECS", str(OVERLAY))
        yield made


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    return pd.read_parquet(complete_journey("transactions"))


@pytest.fixture(scope="module")
def orders(deployment, files, every) -> ImportAccount:
    path = files / f"orders-{every}.parquet"
    households = set(range(0, 10_000, every))
    pq.write_table(pq.read_table(files / "orders.parquet", filters=[("household_id", "in", households)]), path)
    return import_file(deployment, path, source="orders", file_format=FORMAT, as_of=AS_OF)


@pytest.fixture(scope="module")
def coupons(deployment, files) -> None:
    for source in ("campaigns", "redemptions"):
        path = files / f"{source}.parquet"
        import_file(deployment, path, source=source, file_format=FORMAT, as_of=AS_OF, history_until="2017-12-31")


def test_every_line_of_the_log_is_taken_or_set_aside_for_what_is_wrong_with_it(deployment, orders, log, every):
    log = log[log.household_id % every == 0]
    of_no_pieces, of_no_value = log.quantity == 0, log.sales_value == 0
    assert (len(log), of_no_pieces.sum(), of_no_value.sum()) == LINES[every]
    assert {rule: rows for rule, rows in orders.rules.items() if rows} == {
        "sale_quantity_not_positive": of_no_pieces.sum()
    }
    assert (of_no_pieces & of_no_value).sum() + orders.counted["zero_price"] == of_no_value.sum()
    assert orders.rows_in == len(log) == orders.rows_published + orders.rows_quarantined
    taken, rows = log[~of_no_pieces], deployment.lake.read("raw/orders", columns=["category", "quantity", "unit_price"])
    assert rows.num_rows == len(taken)
    value = pc.sum(pc.multiply(rows["quantity"], rows["unit_price"])).as_py()
    assert value == pytest.approx(taken.sales_value.sum(), rel=1e-12)
    products = pd.read_parquet(complete_journey("products"), columns=["product_id", "product_category"])
    sold = taken.groupby("product_id").size().rename("lines").reset_index().merge(products, on="product_id")
    expected = sold.groupby("product_category").lines.sum().to_dict()
    found = pc.value_counts(rows["category"].drop_null()).to_pylist()
    assert {each["values"]: each["counts"] for each in found} == expected


def test_the_times_of_the_log_are_utc(deployment, orders, log, every):
    """By the shop's own days, which are New York's: a coupon is redeemed on a day of a basket that it made cheaper."""
    cheaper = log[log.coupon_disc != 0]
    redeemed = pd.read_parquet(complete_journey("coupon_redemptions"))
    told = set(zip(redeemed.household_id, redeemed.redemption_date.dt.date, strict=True))

    def found_by(zone: str) -> int:
        days = cheaper.transaction_timestamp.dt.tz_localize("UTC").dt.tz_convert(zone).dt.date
        return len(told & set(zip(cheaper.household_id, days, strict=True)))

    assert found_by("America/New_York") > 0.85 * len(told) > 0.8 * len(told) > found_by("UTC")
    rows = deployment.lake.read("raw/orders", columns=["ordered_at"])
    last = log.transaction_timestamp[log.household_id % every == 0].max()
    assert pc.max(rows["ordered_at"]).as_py() == last.tz_localize("UTC")


def test_every_spec_of_its_overlay_stands_beside_those_that_ship(deployment):
    specs = load_specs()
    assert specs.violations == ()
    assert {"campaigns", "redemptions"} <= set(specs.sources)
    assert {"churn", "coupon"} <= set(specs.models)
    assert specs.models["churn"].label.horizon_days == 28


def test_a_partition_holds_what_was_sent_and_redeemed_before_its_day(deployment, coupons):
    build_features(deployment, "coupon_daily", start=DAY, end=DAY)
    found = deployment.lake.read("features/coupon_daily").to_pandas().set_index("customer_id")
    day = pd.Timestamp(DAY)
    sent = pd.read_parquet(complete_journey("campaigns")).merge(
        pd.read_parquet(complete_journey("campaign_descriptions")), on="campaign_id"
    )
    sent = sent[sent.start_date < day]
    redeemed = pd.read_parquet(complete_journey("coupon_redemptions"))
    redeemed = redeemed[redeemed.redemption_date < day]
    by = sent.groupby(sent.household_id.astype(str))
    running = sent[sent.end_date > day]
    expected = pd.DataFrame({"campaigns_sent": by.size()})
    expected["campaigns_running"] = running.groupby(running.household_id.astype(str)).size()
    expected["coupons_redeemed"] = redeemed.groupby(redeemed.household_id.astype(str)).size()
    expected = expected.fillna(0).astype("int64").sort_index()
    assert len(found) == len(expected) > 1_000
    pd.testing.assert_frame_equal(found[list(expected)].sort_index(), expected, check_names=False)
    # By the shop's clock the day itself is over five hours after the UTC day is: nothing of it was known yet.
    assert (found.created_timestamp == found.event_timestamp).all()


def test_a_label_is_of_whole_days_that_its_example_precedes(deployment, coupons):
    spec = load_model("coupon")
    at = pd.Timestamp(DAY, tz="UTC") + timedelta(days=1)
    campaigns = pq.read_table(complete_journey("campaigns"))["household_id"].to_pandas()
    asked = sorted(set(campaigns.astype(str)))
    examples = pa.table(
        {
            "customer_id": pa.array(asked, pa.string()),
            "event_timestamp": pa.array([at] * len(asked), pa.timestamp("us", tz="UTC")),
        }
    )
    known_until = (at + timedelta(days=spec.label.horizon_days)).to_pydatetime()
    labels = read_labels(deployment, spec, examples, known_until=known_until).rows.to_pandas()
    redeemed = pd.read_parquet(complete_journey("coupon_redemptions"))
    within = redeemed[redeemed.redemption_date.between("2017-11-20", "2017-12-03")]
    assert len(labels) == len(asked)
    assert set(labels.customer_id[labels.label == 1]) == set(within.household_id.astype(str))
    assert labels.known_at.max() <= pd.Timestamp(known_until)
