"""Feature services: the versioned lists of columns that models read.

What belongs here: one service per model and version, each column named. What does not: "all columns of
a group": a model in Production keeps its columns when the group grows.
"""

from __future__ import annotations

from feast import FeatureService

import feature_repo.feature_views as feature_views  # noqa: TID251

churn_v1 = FeatureService(
    name="churn_v1",
    description="Input of the churn model.",
    owner="growth-analytics",
    features=[
        feature_views.VIEWS["customer_daily"][
            [
                "total_orders_30d",
                "total_orders_90d",
                "total_orders_180d",
                "total_spend_30d",
                "total_spend_90d",
                "total_spend_180d",
                "avg_order_value",
                "days_since_last_order",
                "tenure_days",
                "avg_order_gap_days",
                "distinct_products_90d",
                "cancelled_lines_90d",
            ]
        ]
    ],
)

customer_features = FeatureService(
    name="customer_features",
    description="A customer's activity and latest churn score, for any model but churn itself.",
    owner="growth-analytics",
    features=[
        feature_views.VIEWS["customer_daily"][["total_orders_30d", "avg_order_value", "days_since_last_order"]],
        feature_views.VIEWS["churn_scores"][["churn_risk_score"]],
    ],
)

fraud_v1 = FeatureService(
    name="fraud_v1",
    description="What is known of an order and its customer at the end of the order's day.",
    owner="payments-risk",
    features=[
        feature_views.VIEWS["order_risk"][
            [
                "order_value",
                "lines",
                "units",
                "max_unit_price",
                "distinct_products",
                "hour_of_day",
                "customer_orders_before",
                "customer_spend_before",
                "customer_disputes_before",
                "is_new_customer",
                "hours_since_previous_order",
                "value_to_customer_mean",
            ]
        ]
    ],
)

SERVICES = {service.name: service for service in (churn_v1, customer_features, fraud_v1)}
