"""customer_daily as somebody would write it for one job, without this project: DuckDB, polars, pandas.

What belongs here: the peers of one benchmark, each as fast as we could make it. Each reads the table's Parquet files
itself and returns all columns of the group. What does not: this project's own way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from include.specs.groups import load_feature_group

DAY = timedelta(days=1)
WINDOWS = (30, 90, 180)
COLUMNS = load_feature_group("customer_daily").feature_names


def duckdb_windows(root: str, start: date, end: date) -> Callable[[], pa.Table]:
    """Return the statement with windows over a dense daily spine."""
    return _duckdb(Path(__file__).with_name("customer_daily_windows.sql").read_text(encoding="utf-8"), root, start, end)


def duckdb_changes(root: str, start: date, end: date) -> Callable[[], pa.Table]:
    """Return the project's own formulation without what the project pays for: exact money and Arrow's scan."""
    sql = load_feature_group("customer_daily").sql_path.read_text(encoding="utf-8")
    if (exact := "AS DECIMAL(18, 6))") not in sql:
        raise ValueError(f"customer_daily.sql has no {exact!r}: what is raced would be the project's own statement")
    return _duckdb(sql.replace(exact, "AS DOUBLE)"), root, start, end)


def _duckdb(sql: str, root: str, start: date, end: date) -> Callable[[], pa.Table]:
    import duckdb

    def run() -> pa.Table:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            connection.execute(
                f"CREATE VIEW orders AS FROM read_parquet('{root}/*/*.parquet', hive_partitioning = true, "
                "hive_types = {'dt': DATE})"
            )
            return connection.sql(sql, params={"start_day": start, "end_day": end}).to_arrow_table()

    return run


def polars_changes(root: str, start: date, end: date) -> Callable[[], pa.Table]:
    """Return changes summed up by customer, in polars."""
    import polars as pl

    key, c = ["customer_id", "day"], pl.col

    def run() -> pa.Table:
        line = (
            pl.scan_parquet(f"{root}/*/*.parquet", hive_partitioning=True, hive_schema={"dt": pl.Date})
            .filter(c("dt") <= end, c("kind").is_in(["sale", "cancellation"]))
            .select(
                "customer_id",
                "order_id",
                "product_id",
                "ordered_at",
                "received_at",
                is_sale=c("kind") == "sale",
                day=pl.max_horizontal("dt", pl.lit(start - 180 * DAY)),
                value=c("quantity") * c("unit_price"),
            )
            .collect()
        )
        sale = line.filter("is_sale")
        purchase = sale.group_by("customer_id", "order_id").agg(c("day").min(), placed=c("ordered_at").min())
        purchase_day = purchase.group_by(key).agg(
            orders=pl.len().cast(pl.Int64), first=c("placed").min(), last=c("placed").max()
        )
        sale_day = sale.group_by(key).agg(spend=c("value").sum(), received=c("received_at").max())
        cancelled = line.filter(~c("is_sale"))
        cancelled_day = cancelled.group_by(key).agg(
            cancelled=pl.len().cast(pl.Int64), cancelled_received=c("received_at").max()
        )
        bought = sale.filter(c("day") > start - 90 * DAY).drop_nulls("product_id").select(*key, "product_id").unique()
        bought = bought.sort("customer_id", "product_id", "day").with_columns(
            next=c("day").shift(-1).over("customer_id", "product_id")
        )
        changes = [
            purchase_day.select(*key, "first", "last", *(c("orders").alias(f"o{n}") for n in ("", *WINDOWS))),
            sale_day.select(*key, "received", *(c("spend").alias(f"s{n}") for n in ("", *WINDOWS))),
            cancelled_day.select(*key, c("cancelled")),
            cancelled_day.select("customer_id", c("day") + 90 * DAY, -c("cancelled")),
            bought.select(*key, products=pl.lit(1, pl.Int64)),
            bought.select(
                "customer_id",
                pl.min_horizontal(c("day") + 90 * DAY, "next").alias("day"),
                products=pl.lit(-1, pl.Int64),
            ),
        ]
        for n in WINDOWS:
            later = (c("day") + n * DAY).alias("day")
            changes.append(purchase_day.select("customer_id", later, (-c("orders")).alias(f"o{n}")))
            changes.append(sale_day.select("customer_id", later, (-c("spend")).alias(f"s{n}")))
        sums = [*(f"{kind}{n}" for kind in "os" for n in ("", *WINDOWS)), "cancelled", "products"]
        state = (
            pl.concat([part.filter(c("day") <= end) for part in changes], how="diagonal")
            .with_columns(day=pl.max_horizontal("day", pl.lit(start)))
            .group_by(key)
            .agg(c(sums).sum(), c("first").min(), c("last", "received").max())
            .sort(key)
            .with_columns(
                c(sums).cum_sum().over("customer_id"),
                c("first").cum_min().forward_fill().over("customer_id"),
                c("last", "received").cum_max().forward_fill().over("customer_id"),
                until=c("day").shift(-1).over("customer_id").fill_null(end + DAY) - DAY,
            )
            .with_columns(until=pl.min_horizontal("until", c("last").dt.date() + 364 * DAY))
            .filter(c("until") >= c("day"))
        )
        microsecond = timedelta(microseconds=1)
        feature = state.select(
            "customer_id",
            "received",
            pl.date_ranges("day", "until").alias("dt"),
            *(c(f"o{n}").alias(f"total_orders_{n}d") for n in WINDOWS),
            *(c(f"s{n}").cast(pl.Float32).alias(f"total_spend_{n}d") for n in WINDOWS),
            avg_order_value=(c("s") / c("o")).cast(pl.Float32),
            last_day=(c("last") - microsecond).dt.date(),
            first_day=(c("first") - microsecond).dt.date(),
            avg_order_gap_days=pl.when(c("o") > 1)
            .then((c("last") - c("first")).dt.total_microseconds() / 86_400_000_000 / (c("o") - 1))
            .cast(pl.Float32),
            distinct_products_90d=c("products"),
            cancelled_lines_90d=c("cancelled"),
        ).explode("dt")
        late = (
            cancelled_day.filter(c("cancelled_received") > (c("day") + DAY).cast(pl.Datetime("us", "UTC")))
            .select(
                "customer_id",
                "cancelled_received",
                since=pl.max_horizontal("day", pl.lit(start)),
                until=pl.min_horizontal(c("day") + 89 * DAY, c("cancelled_received").dt.date(), pl.lit(end)),
            )
            .filter(c("since") <= c("until"))
            .select("customer_id", "cancelled_received", pl.date_ranges("since", "until").alias("dt"))
            .explode("dt")
            .group_by("customer_id", "dt")
            .agg(c("cancelled_received").max())
        )
        event = (c("dt") + DAY).cast(pl.Datetime("us", "UTC"))
        rows = feature.join(late, on=["customer_id", "dt"], how="left").select(
            "customer_id",
            event.alias("event_timestamp"),
            pl.max_horizontal(event, "received", "cancelled_received").alias("created_timestamp"),
            *COLUMNS[:7],
            (c("dt") - c("last_day")).dt.total_days().alias("days_since_last_order"),
            (c("dt") - c("first_day")).dt.total_days().alias("tenure_days"),
            *COLUMNS[9:],
            "dt",
        )
        return rows.sort("customer_id", "dt").to_arrow()

    return run


def pandas_matrices(root: str, start: date, end: date) -> Callable[[], pa.Table]:
    """Return customer-by-day matrices and their running sums, in pandas."""
    import pandas as pd

    days = pd.date_range(start - 180 * DAY, end)
    names = ["customer_id", "order_id", "product_id", "kind", "quantity", "unit_price", "ordered_at", "received_at"]

    def matrix(values: Any, index: Any, fill: Any = 0) -> Any:
        return values.unstack("day", fill_value=fill).reindex(index=index, columns=days, fill_value=fill)

    def window(daily: Any, length: int) -> Any:
        total = daily.cumsum(axis=1)
        return (total - total.shift(length, axis=1, fill_value=0)).to_numpy()[:, 180:].ravel()

    def run() -> pa.Table:
        line = pd.read_parquet(root, columns=[*names, "dt"], filters=[("dt", "<=", end.isoformat())])
        line = line[line["kind"].isin(["sale", "cancellation"])]
        line["day"] = pd.to_datetime(line["dt"].astype(str)).clip(lower=days[0])
        line["value"] = line["quantity"] * line["unit_price"]
        key, is_sale = ["customer_id", "day"], line["kind"] == "sale"
        sale, cancelled = line[is_sale], line[~is_sale].groupby(["customer_id", "day"])
        purchase = sale.groupby(["customer_id", "order_id"]).agg(day=("day", "min"), at=("ordered_at", "min"))
        placed = purchase.groupby(key)["at"]
        index = purchase.index.get_level_values(0).unique().sort_values()
        orders, spend = matrix(placed.size(), index), matrix(sale.groupby(key)["value"].sum(), index, 0.0)
        lowest, highest = np.iinfo(np.int64).min, np.iinfo(np.int64).max
        first = matrix(placed.min().astype("int64"), index, highest).cummin(axis=1).to_numpy()[:, 180:].ravel()
        last = matrix(placed.max().astype("int64"), index, lowest).cummax(axis=1).to_numpy()[:, 180:].ravel()
        received = matrix(sale.groupby(key)["received_at"].max().astype("int64"), index, lowest).cummax(axis=1)
        bought = sale.loc[sale["day"] > days[90], [*key, "product_id"]].dropna().drop_duplicates().sort_values("day")
        again = bought.groupby(["customer_id", "product_id"])["day"].shift(-1)
        leaves = np.minimum(bought["day"] + 90 * DAY, again.fillna(pd.Timestamp.max))
        entries = matrix(bought.groupby(key).size(), index)
        exits = matrix(bought.assign(day=leaves).groupby(key).size(), index)
        ends = np.tile((days[180:] + DAY).as_unit("us").astype("int64").to_numpy(), len(index))
        late = cancelled["received_at"].max().astype("int64").reset_index()
        late = late[late["received_at"] > (late["day"] + DAY).astype("datetime64[us]").astype("int64")]
        late = late.loc[late.index.repeat(90)].assign(n=np.tile(np.arange(90), len(late)))
        late["day"] += pd.to_timedelta(late["n"], unit="D")
        known = matrix(late[late["day"].isin(days)].groupby(key)["received_at"].max(), index, lowest)
        counted = np.cumsum(orders.to_numpy(), axis=1)[:, 180:].ravel()
        rows = pd.DataFrame(
            {
                "customer_id": np.repeat(index.to_numpy(), 90),
                "event_timestamp": ends,
                "created_timestamp": np.maximum(
                    np.maximum(ends, received.to_numpy()[:, 180:].ravel()), known.to_numpy()[:, 180:].ravel()
                ),
                **{f"total_orders_{n}d": window(orders, n) for n in WINDOWS},
                **{f"total_spend_{n}d": window(spend, n).astype("float32") for n in WINDOWS},
                "avg_order_value": np.cumsum(spend.to_numpy(), axis=1)[:, 180:].ravel() / np.maximum(counted, 1),
                "days_since_last_order": (ends - last) // 86_400_000_000,
                "tenure_days": (ends - first) // 86_400_000_000,
                "avg_order_gap_days": np.where(
                    counted > 1, (last - first) / 86_400_000_000 / np.maximum(counted - 1, 1), np.nan
                ),
                "distinct_products_90d": (entries - exits).cumsum(axis=1).to_numpy()[:, 180:].ravel(),
                "cancelled_lines_90d": window(matrix(cancelled.size(), index), 90),
                "dt": np.tile(days[180:].to_numpy(), len(index)),
            }
        )
        rows = rows[(counted > 0) & (ends - last <= 365 * 86_400_000_000)]
        for name in ("event_timestamp", "created_timestamp"):
            rows[name] = rows[name].astype("datetime64[us]").dt.tz_localize("UTC")
        for name in ("avg_order_value", "avg_order_gap_days"):
            rows[name] = rows[name].astype("float32")
        return pa.Table.from_pandas(rows.assign(dt=rows["dt"].dt.date), preserve_index=False)

    return run


def pandas_by_day(root: str, start: date, end: date) -> Callable[[], pa.Table]:
    """Return a group-by for each day over the lines until then, in pandas: the way that needs no second thought."""
    import pandas as pd

    names = ["customer_id", "order_id", "product_id", "kind", "quantity", "unit_price", "ordered_at", "received_at"]

    def features(sale: pd.DataFrame, cancelled: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
        event = (day + DAY).tz_localize("UTC")
        placed = sale.groupby(["customer_id", "order_id"])["ordered_at"].min().reset_index()
        customer = placed.groupby("customer_id")["ordered_at"].agg(["size", "min", "max"])
        rows = pd.DataFrame(index=customer.index)
        rows["event_timestamp"] = event
        known = sale.groupby("customer_id")["received_at"].max().clip(lower=event)
        counted = cancelled[cancelled["day"] > day - 90 * DAY].groupby("customer_id")
        late = counted["received_at"].max().reindex(rows.index)
        rows["created_timestamp"] = known.mask(late > known, late)
        for n in WINDOWS:
            recent = placed[placed["ordered_at"] >= event - n * DAY]
            rows[f"total_orders_{n}d"] = recent.groupby("customer_id").size().reindex(rows.index, fill_value=0)
        for n in WINDOWS:
            recent = sale[sale["day"] > day - n * DAY]
            spend = recent.groupby("customer_id")["value"].sum().reindex(rows.index, fill_value=0.0)
            rows[f"total_spend_{n}d"] = spend.astype("float32")
        rows["avg_order_value"] = (sale.groupby("customer_id")["value"].sum() / customer["size"]).astype("float32")
        rows["days_since_last_order"] = (event - customer["max"]) // DAY
        rows["tenure_days"] = (event - customer["min"]) // DAY
        gap = (customer["max"] - customer["min"]) / DAY / (customer["size"] - 1)
        rows["avg_order_gap_days"] = gap.where(customer["size"] > 1).astype("float32")
        recent = sale[sale["day"] > day - 90 * DAY]
        rows["distinct_products_90d"] = (
            recent.groupby("customer_id")["product_id"].nunique().reindex(rows.index, fill_value=0)
        )
        rows["cancelled_lines_90d"] = counted.size().reindex(rows.index, fill_value=0)
        rows["dt"] = day.date()
        return rows[event - customer["max"] <= 365 * DAY].reset_index()

    def run() -> pa.Table:
        line = pd.read_parquet(root, columns=[*names, "dt"], filters=[("dt", "<=", end.isoformat())])
        line["day"] = pd.to_datetime(line["dt"].astype(str))
        line["value"] = line["quantity"] * line["unit_price"]
        sale, cancelled = (line[line["kind"] == kind] for kind in ("sale", "cancellation"))
        days = [
            features(sale[sale["day"] <= day], cancelled[cancelled["day"] <= day], day)
            for day in pd.date_range(start, end)
        ]
        rows = pd.concat(days, ignore_index=True)
        for name in ("event_timestamp", "created_timestamp"):
            rows[name] = rows[name].astype("datetime64[us, UTC]")
        return pa.Table.from_pandas(rows, preserve_index=False)

    return run
