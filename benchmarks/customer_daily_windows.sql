-- customer_daily as it is written first: a row per customer and day, and windows over them. The benchmark's peer.
WITH line AS (
    SELECT
        customer_id,
        order_id,
        product_id,
        kind = 'sale' AS is_sale,
        dt AS day,
        ordered_at,
        received_at,
        quantity * unit_price AS value
    FROM orders
    WHERE dt <= CAST($end_day AS DATE) AND kind IN ('sale', 'cancellation')
),

-- What happened, by customer and day ------------------------------------------------------------
purchase AS (
    SELECT customer_id, order_id, MIN(day) AS day, MIN(ordered_at) AS placed_at
    FROM line
    WHERE is_sale
    GROUP BY customer_id, order_id
),

purchase_day AS (
    SELECT
        customer_id,
        day,
        COUNT(*) AS orders,
        MIN(placed_at) AS first_placed_at,
        MAX(placed_at) AS last_placed_at
    FROM purchase
    GROUP BY customer_id, day
),

line_day AS (
    SELECT
        customer_id,
        day,
        SUM(CASE WHEN is_sale THEN value END) AS spend,
        COUNT(CASE WHEN NOT is_sale THEN 1 END) AS cancelled_lines,
        MAX(CASE WHEN is_sale THEN received_at END) AS sale_received_at,
        MAX(CASE WHEN NOT is_sale THEN received_at END) AS cancellation_received_at
    FROM line
    GROUP BY customer_id, day
),

-- A product counts from the day it is bought until 90 days later, or until it is bought again and
-- counts anew: entries and exits, so that a running sum is the number of distinct products.
product_day AS (
    SELECT
        customer_id,
        day AS entry_day,
        LEAD(day) OVER (PARTITION BY customer_id, product_id ORDER BY day) AS next_entry_day
    FROM (SELECT DISTINCT customer_id, product_id, day FROM line WHERE is_sale AND product_id IS NOT NULL) AS bought
),

product_change AS (
    SELECT customer_id, day, SUM(change) AS product_change
    FROM (
        SELECT customer_id, entry_day AS day, 1 AS change FROM product_day
        UNION ALL
        SELECT customer_id, LEAST(entry_day + 90, COALESCE(next_entry_day, entry_day + 90)) AS day, -1 AS change
        FROM product_day
    ) AS entry_or_exit
    WHERE day <= CAST($end_day AS DATE)
    GROUP BY customer_id, day
),

-- Every day that is asked for, and every earlier day on which something happened ------------------
customer AS (
    SELECT customer_id, MIN(day) AS first_day
    FROM purchase
    GROUP BY customer_id
    HAVING MAX(day) >= CAST($start_day AS DATE) - 364
),

calendar AS (
    SELECT CAST(instant AS DATE) AS day
    FROM generate_series(CAST($start_day AS DATE), CAST($end_day AS DATE), INTERVAL 1 DAY) AS series(instant)
),

customer_day AS (
    SELECT customer_id, calendar.day FROM customer INNER JOIN calendar ON calendar.day >= first_day
    UNION
    SELECT customer_id, day FROM line_day
    UNION
    SELECT customer_id, day FROM product_change
),

-- Windows end with the day of the row --------------------------------------------------------------
rolled AS (
    SELECT
        customer_id,
        day,
        CAST(day + 1 AS TIMESTAMPTZ) AS event_timestamp,
        SUM(orders) OVER last_30d AS orders_30d,
        SUM(orders) OVER last_90d AS orders_90d,
        SUM(orders) OVER last_180d AS orders_180d,
        SUM(orders) OVER ever AS orders_ever,
        SUM(spend) OVER last_30d AS spend_30d,
        SUM(spend) OVER last_90d AS spend_90d,
        SUM(spend) OVER last_180d AS spend_180d,
        SUM(spend) OVER ever AS spend_ever,
        SUM(cancelled_lines) OVER last_90d AS cancelled_lines_90d,
        SUM(product_change) OVER ever AS distinct_products_90d,
        MIN(first_placed_at) OVER ever AS first_placed_at,
        MAX(last_placed_at) OVER ever AS last_placed_at,
        MAX(sale_received_at) OVER ever AS sale_received_at,
        MAX(cancellation_received_at) OVER last_90d AS cancellation_received_at
    FROM customer_day
    LEFT JOIN purchase_day USING (customer_id, day)
    LEFT JOIN line_day USING (customer_id, day)
    LEFT JOIN product_change USING (customer_id, day)
    WINDOW
        ever AS (PARTITION BY customer_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
        last_30d AS (PARTITION BY customer_id ORDER BY day RANGE BETWEEN INTERVAL 29 DAYS PRECEDING AND CURRENT ROW),
        last_90d AS (PARTITION BY customer_id ORDER BY day RANGE BETWEEN INTERVAL 89 DAYS PRECEDING AND CURRENT ROW),
        last_180d AS (PARTITION BY customer_id ORDER BY day RANGE BETWEEN INTERVAL 179 DAYS PRECEDING AND CURRENT ROW)
)

SELECT
    customer_id,
    event_timestamp,
    GREATEST(event_timestamp, sale_received_at, cancellation_received_at) AS created_timestamp,
    CAST(COALESCE(orders_30d, 0) AS BIGINT) AS total_orders_30d,
    CAST(COALESCE(orders_90d, 0) AS BIGINT) AS total_orders_90d,
    CAST(COALESCE(orders_180d, 0) AS BIGINT) AS total_orders_180d,
    CAST(COALESCE(spend_30d, 0) AS FLOAT) AS total_spend_30d,
    CAST(COALESCE(spend_90d, 0) AS FLOAT) AS total_spend_90d,
    CAST(COALESCE(spend_180d, 0) AS FLOAT) AS total_spend_180d,
    CAST(CAST(spend_ever AS DOUBLE) / orders_ever AS FLOAT) AS avg_order_value,
    CAST(DATE_DIFF('microsecond', last_placed_at, event_timestamp) // 86400000000 AS BIGINT) AS days_since_last_order,
    CAST(DATE_DIFF('microsecond', first_placed_at, event_timestamp) // 86400000000 AS BIGINT) AS tenure_days,
    CAST(
        DATE_DIFF('microsecond', first_placed_at, last_placed_at) / 86400000000.0 / NULLIF(orders_ever - 1, 0) AS FLOAT
    ) AS avg_order_gap_days,
    CAST(COALESCE(distinct_products_90d, 0) AS BIGINT) AS distinct_products_90d,
    CAST(COALESCE(cancelled_lines_90d, 0) AS BIGINT) AS cancelled_lines_90d,
    day AS dt
FROM rolled
WHERE
    day BETWEEN CAST($start_day AS DATE) AND CAST($end_day AS DATE)
    AND last_placed_at >= CAST(day - 364 AS TIMESTAMPTZ)
ORDER BY customer_id, event_timestamp, created_timestamp
