-- customer_daily: one row per customer and UTC day, as it stood when that day was over.
--
-- From     orders(order_id, customer_id, product_id, kind, quantity, unit_price, ordered_at, received_at, dt)
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     customers with an order in the last 365 days.
--
-- Only sales make orders and spend; cancellations feed their own column; other kinds feed none.
-- An order stands at its first sale line. Money is summed as DECIMAL: exact, whatever the order of the rows; 18 digits
-- hold any sum below 10^12, a hundred thousand of the largest lines that the contract takes, and add faster than 38.
--
-- How      A sum over the last 30 days changes twice for every order: up on its day, down 30 days later. So the
--          changes are summed up, customer by customer, and each state is written for all days until the next change.
WITH line AS (
    SELECT
        customer_id,
        order_id,
        product_id,
        kind = 'sale' AS is_sale,
        -- What is older than the longest window counts for "ever" alone; all of it may stand on one day.
        GREATEST(dt, CAST($start_day AS DATE) - 180) AS day,
        ordered_at,
        received_at,
        CAST(quantity * unit_price AS DECIMAL(18, 6)) AS value
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
        CAST(SUM(CASE WHEN is_sale THEN value END) AS DECIMAL(18, 6)) AS spend,
        COUNT(CASE WHEN NOT is_sale THEN 1 END) AS cancelled_lines,
        MAX(CASE WHEN is_sale THEN received_at END) AS sale_received_at,
        MAX(CASE WHEN NOT is_sale THEN received_at END) AS cancellation_received_at
    FROM line
    GROUP BY customer_id, day
),

-- A product counts from the day it is bought until 90 days later, or until it is bought again and counts anew.
product_day AS (
    SELECT
        customer_id,
        day AS entry_day,
        LEAD(day) OVER (PARTITION BY customer_id, product_id ORDER BY day) AS next_entry_day
    FROM (
        SELECT DISTINCT customer_id, product_id, day
        FROM line
        WHERE is_sale AND product_id IS NOT NULL AND day > CAST($start_day AS DATE) - 90
    ) AS bought
),

-- What changes, by customer and day; what changed before $start_day has changed by then -------------
product_change AS (
    SELECT customer_id, day, SUM(change) AS products_90d
    FROM (
        SELECT customer_id, GREATEST(entry_day, CAST($start_day AS DATE)) AS day, 1 AS change
        FROM product_day
        UNION ALL
        SELECT
            customer_id,
            GREATEST(LEAST(entry_day + 90, COALESCE(next_entry_day, entry_day + 90)), CAST($start_day AS DATE)) AS day,
            -1 AS change
        FROM product_day
    ) AS entry_or_exit
    WHERE day <= CAST($end_day AS DATE)
    GROUP BY customer_id, day
),

entry_or_exit AS (
    SELECT
        customer_id,
        GREATEST(day + days_later, CAST($start_day AS DATE)) AS day,
        CASE WHEN days_later = 0 THEN orders END AS orders_ever,
        CASE days_later WHEN 0 THEN orders WHEN 30 THEN -orders END AS orders_30d,
        CASE days_later WHEN 0 THEN orders WHEN 90 THEN -orders END AS orders_90d,
        CASE days_later WHEN 0 THEN orders WHEN 180 THEN -orders END AS orders_180d,
        CASE WHEN days_later = 0 THEN spend END AS spend_ever,
        CASE days_later WHEN 0 THEN spend WHEN 30 THEN -spend END AS spend_30d,
        CASE days_later WHEN 0 THEN spend WHEN 90 THEN -spend END AS spend_90d,
        CASE days_later WHEN 0 THEN spend WHEN 180 THEN -spend END AS spend_180d,
        CASE days_later WHEN 0 THEN cancelled_lines WHEN 90 THEN -cancelled_lines END AS cancelled_lines_90d,
        NULL AS products_90d,
        CASE WHEN days_later = 0 THEN first_placed_at END AS first_placed_at,
        CASE WHEN days_later = 0 THEN last_placed_at END AS last_placed_at,
        CASE WHEN days_later = 0 THEN sale_received_at END AS sale_received_at
    FROM line_day
    LEFT JOIN purchase_day USING (customer_id, day)
    CROSS JOIN (VALUES (0), (30), (90), (180)) AS entry_and_exits(days_later)
    WHERE day + days_later <= CAST($end_day AS DATE)
    UNION ALL
    SELECT
        customer_id, day, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, products_90d, NULL, NULL, NULL
    FROM product_change
),

change AS (
    SELECT
        customer_id,
        day,
        CAST(SUM(orders_ever) AS BIGINT) AS orders_ever,
        CAST(SUM(orders_30d) AS BIGINT) AS orders_30d,
        CAST(SUM(orders_90d) AS BIGINT) AS orders_90d,
        CAST(SUM(orders_180d) AS BIGINT) AS orders_180d,
        CAST(SUM(spend_ever) AS DECIMAL(18, 6)) AS spend_ever,
        CAST(SUM(spend_30d) AS DECIMAL(18, 6)) AS spend_30d,
        CAST(SUM(spend_90d) AS DECIMAL(18, 6)) AS spend_90d,
        CAST(SUM(spend_180d) AS DECIMAL(18, 6)) AS spend_180d,
        CAST(SUM(cancelled_lines_90d) AS BIGINT) AS cancelled_lines_90d,
        CAST(SUM(products_90d) AS BIGINT) AS products_90d,
        MIN(first_placed_at) AS first_placed_at,
        MAX(last_placed_at) AS last_placed_at,
        MAX(sale_received_at) AS sale_received_at
    FROM entry_or_exit
    GROUP BY customer_id, day
),

-- The state after every change, and until when it lasts -------------------------------------------
state AS (
    SELECT
        customer_id,
        day,
        LEAD(day, 1, CAST($end_day AS DATE) + 1) OVER (PARTITION BY customer_id ORDER BY day) AS next_day,
        SUM(orders_ever) OVER past AS orders_ever,
        SUM(orders_30d) OVER past AS orders_30d,
        SUM(orders_90d) OVER past AS orders_90d,
        SUM(orders_180d) OVER past AS orders_180d,
        CAST(SUM(spend_ever) OVER past AS DECIMAL(18, 6)) AS spend_ever,
        CAST(SUM(spend_30d) OVER past AS DECIMAL(18, 6)) AS spend_30d,
        CAST(SUM(spend_90d) OVER past AS DECIMAL(18, 6)) AS spend_90d,
        CAST(SUM(spend_180d) OVER past AS DECIMAL(18, 6)) AS spend_180d,
        SUM(cancelled_lines_90d) OVER past AS cancelled_lines_90d,
        SUM(products_90d) OVER past AS products_90d,
        MIN(first_placed_at) OVER past AS first_placed_at,
        MAX(last_placed_at) OVER past AS last_placed_at,
        MAX(sale_received_at) OVER past AS sale_received_at
    FROM change
    WINDOW past AS (PARTITION BY customer_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

feature AS (
    SELECT
        customer_id,
        day AS from_day,
        LEAST(next_day - 1, CAST(last_placed_at AS DATE) + 364) AS until_day,
        sale_received_at,
        CAST(COALESCE(orders_30d, 0) AS BIGINT) AS total_orders_30d,
        CAST(COALESCE(orders_90d, 0) AS BIGINT) AS total_orders_90d,
        CAST(COALESCE(orders_180d, 0) AS BIGINT) AS total_orders_180d,
        CAST(COALESCE(spend_30d, 0) AS FLOAT) AS total_spend_30d,
        CAST(COALESCE(spend_90d, 0) AS FLOAT) AS total_spend_90d,
        CAST(COALESCE(spend_180d, 0) AS FLOAT) AS total_spend_180d,
        CAST(CAST(spend_ever AS DOUBLE) / orders_ever AS FLOAT) AS avg_order_value,
        -- Whole days are counted from these days' ends; an instant at midnight is a whole day old when its day ends.
        CAST(last_placed_at - INTERVAL 1 MICROSECOND AS DATE) AS last_day,
        CAST(first_placed_at - INTERVAL 1 MICROSECOND AS DATE) AS first_day,
        CAST(
            DATE_DIFF('microsecond', first_placed_at, last_placed_at) / 86400000000.0 / NULLIF(orders_ever - 1, 0)
            AS FLOAT
        ) AS avg_order_gap_days,
        CAST(COALESCE(products_90d, 0) AS BIGINT) AS distinct_products_90d,
        CAST(COALESCE(cancelled_lines_90d, 0) AS BIGINT) AS cancelled_lines_90d
    FROM state
    WHERE last_placed_at >= CAST(day - 364 AS TIMESTAMPTZ)
),

feature_day AS (
    SELECT *, UNNEST(generate_series(from_day, until_day, INTERVAL 1 DAY)) AS instant
    FROM feature
),

-- A cancellation that was received late makes rows known later: those of the days on which it counts and that
-- were over by then.
late_day AS (
    SELECT
        customer_id,
        cancellation_received_at,
        GREATEST(day, CAST($start_day AS DATE)) AS from_day,
        LEAST(day + 89, CAST(cancellation_received_at AS DATE), CAST($end_day AS DATE)) AS until_day
    FROM line_day
    WHERE cancellation_received_at > CAST(day + 1 AS TIMESTAMPTZ)
),

late AS (
    SELECT customer_id, CAST(instant AS DATE) AS day, MAX(cancellation_received_at) AS cancellation_received_at
    FROM (
        SELECT
            customer_id,
            cancellation_received_at,
            UNNEST(generate_series(from_day, until_day, INTERVAL 1 DAY)) AS instant
        FROM late_day
        WHERE from_day <= until_day
    ) AS late_instant
    GROUP BY customer_id, CAST(instant AS DATE)
)

SELECT
    feature_day.customer_id,
    CAST(CAST(instant AS DATE) + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(event_timestamp, sale_received_at, cancellation_received_at) AS created_timestamp,
    total_orders_30d,
    total_orders_90d,
    total_orders_180d,
    total_spend_30d,
    total_spend_90d,
    total_spend_180d,
    avg_order_value,
    DATE_DIFF('day', last_day, CAST(instant AS DATE)) AS days_since_last_order,
    DATE_DIFF('day', first_day, CAST(instant AS DATE)) AS tenure_days,
    avg_order_gap_days,
    distinct_products_90d,
    cancelled_lines_90d,
    CAST(instant AS DATE) AS dt
FROM feature_day
LEFT JOIN late ON late.customer_id = feature_day.customer_id AND late.day = CAST(instant AS DATE)
ORDER BY feature_day.customer_id, event_timestamp, created_timestamp
