-- shelf_daily: one row per customer, category and UTC day, as it stood when that day was over.
--
-- From     orders(customer_id, category, order_id, kind, received_at, dt)
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     each customer with a sale in the last 30 days, with each category that has one.
WITH day AS (
    SELECT CAST(UNNEST(generate_series(CAST($start_day AS DATE), CAST($end_day AS DATE), INTERVAL 1 DAY)) AS DATE) AS dt
),

line AS (
    SELECT day.dt, orders.customer_id, orders.category, orders.order_id, orders.dt AS bought_on, orders.received_at
    FROM day
    INNER JOIN orders ON orders.dt BETWEEN day.dt - 29 AND day.dt
    WHERE orders.kind = 'sale' AND orders.category IS NOT NULL
),

customer AS (
    SELECT dt, customer_id, MAX(received_at) AS received_at
    FROM line
    GROUP BY dt, customer_id
),

shelf AS (
    SELECT dt, category, COUNT(DISTINCT customer_id) AS buyers, MAX(received_at) AS received_at
    FROM line
    GROUP BY dt, category
),

taken AS (
    SELECT dt, customer_id, category, COUNT(DISTINCT order_id) AS orders, MAX(bought_on) AS last_on
    FROM line
    GROUP BY dt, customer_id, category
)

SELECT
    customer.customer_id,
    shelf.category,
    CAST(customer.dt + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(CAST(customer.dt + 1 AS TIMESTAMPTZ), customer.received_at, shelf.received_at) AS created_timestamp,
    COALESCE(taken.orders, 0) AS orders_30d,
    shelf.buyers AS buyers_30d,
    customer.dt - taken.last_on AS days_since_bought,
    customer.dt
FROM customer
INNER JOIN shelf ON shelf.dt = customer.dt
LEFT JOIN taken
    ON taken.dt = customer.dt
    AND taken.customer_id = customer.customer_id
    AND taken.category = shelf.category
