-- product_daily: one row per product and UTC day, as it stood when that day was over.
--
-- From     orders(order_id, customer_id, product_id, kind, quantity, unit_price, ordered_at, received_at, dt)
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     products with a sale in the last 90 days.
--
-- Only sales make units, orders, revenue and customers; cancellations feed their own column; other kinds feed none.
-- An order counts for a product on the day of its first line of it. Money is summed as DECIMAL: exact, whatever the
-- order of the rows.
--
-- How      A sum over the last 30 days changes twice for every sale: up on its day, down 30 days later. So the
--          changes are summed up, product by product, and each state is written for all days until the next change.
WITH line AS (
    SELECT
        product_id,
        order_id,
        customer_id,
        kind = 'sale' AS is_sale,
        -- What is older than the longest window is in none; all of it may stand on one day.
        GREATEST(dt, CAST($start_day AS DATE) - 30) AS day,
        ordered_at,
        received_at,
        quantity,
        CAST(quantity * unit_price AS DECIMAL(28, 6)) AS value
    FROM orders
    WHERE dt <= CAST($end_day AS DATE) AND kind IN ('sale', 'cancellation') AND product_id IS NOT NULL
),

-- What happened, by product and day -------------------------------------------------------------
order_day AS (
    SELECT product_id, day, COUNT(*) AS orders
    FROM (
        SELECT product_id, order_id, MIN(day) AS day
        FROM line
        WHERE is_sale
        GROUP BY product_id, order_id
    ) AS ordered
    GROUP BY product_id, day
),

line_day AS (
    SELECT
        product_id,
        day,
        SUM(CASE WHEN is_sale THEN quantity END) AS units,
        SUM(CASE WHEN is_sale THEN value END) AS revenue,
        COUNT(CASE WHEN NOT is_sale THEN 1 END) AS cancelled_lines,
        MIN(CASE WHEN is_sale THEN ordered_at END) AS first_sold_at,
        MAX(CASE WHEN is_sale THEN ordered_at END) AS last_sold_at,
        MAX(CASE WHEN is_sale THEN received_at END) AS sale_received_at,
        MAX(CASE WHEN NOT is_sale THEN received_at END) AS cancellation_received_at
    FROM line
    GROUP BY product_id, day
),

-- A customer counts from the day of a purchase until 30 days later, or until the next one and counts anew.
customer_day AS (
    SELECT
        product_id,
        day AS entry_day,
        LEAD(day) OVER (PARTITION BY product_id, customer_id ORDER BY day) AS next_entry_day
    FROM (
        SELECT DISTINCT product_id, customer_id, day
        FROM line
        WHERE is_sale AND day > CAST($start_day AS DATE) - 30
    ) AS bought
),

-- What changes, by product and day; what changed before $start_day has changed by then --------------
customer_change AS (
    SELECT product_id, day, SUM(change) AS customers_30d
    FROM (
        SELECT product_id, GREATEST(entry_day, CAST($start_day AS DATE)) AS day, 1 AS change
        FROM customer_day
        UNION ALL
        SELECT
            product_id,
            GREATEST(LEAST(entry_day + 30, COALESCE(next_entry_day, entry_day + 30)), CAST($start_day AS DATE)) AS day,
            -1 AS change
        FROM customer_day
    ) AS entry_or_exit
    WHERE day <= CAST($end_day AS DATE)
    GROUP BY product_id, day
),

entry_or_exit AS (
    SELECT
        product_id,
        GREATEST(day + days_later, CAST($start_day AS DATE)) AS day,
        CASE days_later WHEN 0 THEN units WHEN 7 THEN -units END AS units_7d,
        CASE days_later WHEN 0 THEN units WHEN 30 THEN -units END AS units_30d,
        CASE days_later WHEN 0 THEN orders WHEN 30 THEN -orders END AS orders_30d,
        CASE days_later WHEN 0 THEN revenue WHEN 30 THEN -revenue END AS revenue_30d,
        CASE days_later WHEN 0 THEN cancelled_lines WHEN 30 THEN -cancelled_lines END AS cancelled_lines_30d,
        NULL AS customers_30d,
        CASE WHEN days_later = 0 THEN first_sold_at END AS first_sold_at,
        CASE WHEN days_later = 0 THEN last_sold_at END AS last_sold_at,
        CASE WHEN days_later = 0 THEN sale_received_at END AS sale_received_at
    FROM line_day
    LEFT JOIN order_day USING (product_id, day)
    CROSS JOIN (VALUES (0), (7), (30)) AS entry_and_exits(days_later)
    WHERE day + days_later <= CAST($end_day AS DATE)
    UNION ALL
    SELECT product_id, day, NULL, NULL, NULL, NULL, NULL, customers_30d, NULL, NULL, NULL
    FROM customer_change
),

change AS (
    SELECT
        product_id,
        day,
        SUM(units_7d) AS units_7d,
        SUM(units_30d) AS units_30d,
        SUM(orders_30d) AS orders_30d,
        SUM(revenue_30d) AS revenue_30d,
        SUM(cancelled_lines_30d) AS cancelled_lines_30d,
        SUM(customers_30d) AS customers_30d,
        MIN(first_sold_at) AS first_sold_at,
        MAX(last_sold_at) AS last_sold_at,
        MAX(sale_received_at) AS sale_received_at
    FROM entry_or_exit
    GROUP BY product_id, day
),

-- The state after every change, and until when it lasts -------------------------------------------
state AS (
    SELECT
        product_id,
        day,
        LEAD(day, 1, CAST($end_day AS DATE) + 1) OVER (PARTITION BY product_id ORDER BY day) AS next_day,
        SUM(units_7d) OVER past AS units_7d,
        SUM(units_30d) OVER past AS units_30d,
        SUM(orders_30d) OVER past AS orders_30d,
        SUM(revenue_30d) OVER past AS revenue_30d,
        SUM(cancelled_lines_30d) OVER past AS cancelled_lines_30d,
        SUM(customers_30d) OVER past AS customers_30d,
        MIN(first_sold_at) OVER past AS first_sold_at,
        MAX(last_sold_at) OVER past AS last_sold_at,
        MAX(sale_received_at) OVER past AS sale_received_at
    FROM change
    WINDOW past AS (PARTITION BY product_id ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
),

feature AS (
    SELECT
        product_id,
        day AS from_day,
        LEAST(next_day - 1, CAST(last_sold_at AS DATE) + 89) AS until_day,
        sale_received_at,
        CAST(COALESCE(units_7d, 0) AS BIGINT) AS units_sold_7d,
        CAST(COALESCE(units_30d, 0) AS BIGINT) AS units_sold_30d,
        CAST(COALESCE(orders_30d, 0) AS BIGINT) AS orders_30d,
        CAST(COALESCE(revenue_30d, 0) AS FLOAT) AS revenue_30d,
        CAST(COALESCE(customers_30d, 0) AS BIGINT) AS customers_30d,
        CAST(CAST(revenue_30d AS DOUBLE) / NULLIF(units_30d, 0) AS FLOAT) AS avg_unit_price_30d,
        CAST(COALESCE(cancelled_lines_30d, 0) AS BIGINT) AS cancelled_lines_30d,
        -- Whole days are counted from these days' ends; an instant at midnight is a whole day old when its day ends.
        CAST(last_sold_at - INTERVAL 1 MICROSECOND AS DATE) AS last_day,
        CAST(first_sold_at - INTERVAL 1 MICROSECOND AS DATE) AS first_day
    FROM state
    WHERE last_sold_at >= CAST(day - 89 AS TIMESTAMPTZ)
),

feature_day AS (
    SELECT *, UNNEST(generate_series(from_day, until_day, INTERVAL 1 DAY)) AS instant
    FROM feature
),

-- A cancellation that was received late makes rows known later: those of the days on which it counts and that
-- were over by then.
late_day AS (
    SELECT
        product_id,
        cancellation_received_at,
        GREATEST(day, CAST($start_day AS DATE)) AS from_day,
        LEAST(day + 29, CAST(cancellation_received_at AS DATE), CAST($end_day AS DATE)) AS until_day
    FROM line_day
    WHERE cancellation_received_at > CAST(day + 1 AS TIMESTAMPTZ)
),

late AS (
    SELECT product_id, CAST(instant AS DATE) AS day, MAX(cancellation_received_at) AS cancellation_received_at
    FROM (
        SELECT
            product_id,
            cancellation_received_at,
            UNNEST(generate_series(from_day, until_day, INTERVAL 1 DAY)) AS instant
        FROM late_day
        WHERE from_day <= until_day
    ) AS late_instant
    GROUP BY product_id, CAST(instant AS DATE)
)

SELECT
    feature_day.product_id,
    CAST(CAST(instant AS DATE) + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(event_timestamp, sale_received_at, cancellation_received_at) AS created_timestamp,
    units_sold_7d,
    units_sold_30d,
    orders_30d,
    revenue_30d,
    customers_30d,
    avg_unit_price_30d,
    cancelled_lines_30d,
    DATE_DIFF('day', last_day, CAST(instant AS DATE)) AS days_since_last_sale,
    DATE_DIFF('day', first_day, CAST(instant AS DATE)) AS days_since_first_sale,
    CAST(instant AS DATE) AS dt
FROM feature_day
LEFT JOIN late ON late.product_id = feature_day.product_id AND late.day = CAST(instant AS DATE)
ORDER BY feature_day.product_id, event_timestamp, created_timestamp
