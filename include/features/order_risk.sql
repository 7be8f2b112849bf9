-- order_risk: one row per sale order, in the partition of the UTC day on which it was placed.
--
-- From     orders(order_id, line, customer_id, product_id, kind, quantity, unit_price, country, ordered_at, received_at, dt)
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     orders whose first sale line lies on the day. An order is that of its first line's customer.
--
-- Nothing later than the order is looked at, so none of its own disputes and cancellations: of the order, its sale
-- lines of that day; of the customer's past, sale and dispute lines of instants before the order's first one.
-- The row stands at the end of the day, as all features of the partition; it is known when the last of these lines was.
-- Money is summed as DECIMAL: exact, whatever the order of the rows.
WITH line AS (
    SELECT
        order_id,
        customer_id,
        product_id,
        kind = 'sale' AS is_sale,
        country,
        dt AS day,
        ordered_at,
        received_at,
        quantity,
        unit_price,
        CAST(quantity * unit_price AS DECIMAL(28, 6)) AS value
    FROM orders
    WHERE dt <= CAST($end_day AS DATE) AND kind IN ('sale', 'dispute')
),

purchase AS (
    SELECT order_id, customer_id, day, placed_at
    FROM (
        SELECT
            order_id,
            customer_id,
            day,
            placed_at,
            ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY placed_at, customer_id) AS place
        FROM (
            SELECT order_id, customer_id, MIN(day) AS day, MIN(ordered_at) AS placed_at
            FROM line
            WHERE is_sale
            GROUP BY order_id, customer_id
        ) AS order_of_customer
    ) AS placed
    WHERE place = 1
),

judged AS (
    SELECT order_id, customer_id, day, placed_at
    FROM purchase
    WHERE day >= CAST($start_day AS DATE)
),

-- The order itself ----------------------------------------------------------------------------------
basket AS (
    SELECT
        judged.order_id,
        SUM(value) AS order_value,
        COUNT(*) AS lines,
        SUM(quantity) AS units,
        MAX(unit_price) AS max_unit_price,
        COUNT(DISTINCT product_id) AS distinct_products,
        MIN(country) AS country,
        MAX(received_at) AS received_at
    FROM judged
    INNER JOIN line ON line.order_id = judged.order_id AND line.day = judged.day
    WHERE is_sale
    GROUP BY judged.order_id
),

-- The customer before it: what happened at each instant, summed up over all earlier ones -------------------
moment AS (
    SELECT
        customer_id,
        happened_at,
        SUM(orders) AS orders,
        SUM(spend) AS spend,
        SUM(disputes) AS disputes,
        MAX(received_at) AS received_at
    FROM (
        SELECT
            customer_id,
            ordered_at AS happened_at,
            0 AS orders,
            CASE WHEN is_sale THEN value END AS spend,
            CASE WHEN is_sale THEN 0 ELSE 1 END AS disputes,
            received_at
        FROM line
        UNION ALL
        SELECT customer_id, placed_at AS happened_at, 1 AS orders, NULL AS spend, 0 AS disputes, NULL AS received_at
        FROM purchase
    ) AS happened
    WHERE customer_id IN (SELECT customer_id FROM judged)
    GROUP BY customer_id, happened_at
),

past AS (
    SELECT
        customer_id,
        happened_at,
        SUM(orders) OVER earlier AS orders,
        SUM(spend) OVER earlier AS spend,
        SUM(disputes) OVER earlier AS disputes,
        MAX(CASE WHEN orders > 0 THEN happened_at END) OVER earlier AS previous_order_at,
        MAX(received_at) OVER earlier AS received_at
    FROM moment
    WINDOW earlier AS (PARTITION BY customer_id ORDER BY happened_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)

SELECT
    judged.order_id,
    CAST(judged.day + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(event_timestamp, basket.received_at, past.received_at) AS created_timestamp,
    CAST(order_value AS FLOAT) AS order_value,
    lines,
    CAST(units AS BIGINT) AS units,
    CAST(max_unit_price AS FLOAT) AS max_unit_price,
    distinct_products,
    country,
    EXTRACT(HOUR FROM judged.placed_at) AS hour_of_day,
    CAST(COALESCE(past.orders, 0) AS BIGINT) AS customer_orders_before,
    CAST(COALESCE(past.spend, 0) AS FLOAT) AS customer_spend_before,
    CAST(COALESCE(past.disputes, 0) AS BIGINT) AS customer_disputes_before,
    CAST(CASE WHEN COALESCE(past.orders, 0) = 0 THEN 1 ELSE 0 END AS BIGINT) AS is_new_customer,
    CAST(DATE_DIFF('microsecond', previous_order_at, judged.placed_at) / 3600000000.0 AS FLOAT)
        AS hours_since_previous_order,
    CAST(
        CAST(order_value AS DOUBLE) / NULLIF(CAST(past.spend AS DOUBLE) / NULLIF(past.orders, 0), 0) AS FLOAT
    ) AS value_to_customer_mean,
    judged.day AS dt
FROM judged
INNER JOIN basket ON basket.order_id = judged.order_id
INNER JOIN past ON past.customer_id = judged.customer_id AND past.happened_at = judged.placed_at
ORDER BY judged.order_id, event_timestamp, created_timestamp
