-- customer_category_daily: one row per customer, product category and UTC day, as it stood when that day was over.
--
-- From     orders(customer_id, category, country, kind, received_at, dt)
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     customers with a sale line in the last 30 days, each with every category that was known to sell in them.
--
-- Only sale lines that name a category count. A customer's own lines make the row known later where they were received
-- late. The shop's and the countries' lines count as far as they were received when the day was over: everybody's rows
-- would change with each line that comes late, and a list is read long before.
WITH line AS (
    SELECT
        customer_id,
        category,
        country,
        dt AS day,
        received_at,
        -- The first day at whose end the line was known.
        GREATEST(dt, CAST(received_at - INTERVAL 1 MICROSECOND AS DATE)) AS known_on
    FROM orders
    WHERE
        kind = 'sale'
        AND category IS NOT NULL
        AND dt BETWEEN CAST($start_day AS DATE) - 364 AND CAST($end_day AS DATE)
),

day AS (
    SELECT CAST(instant AS DATE) AS dt
    FROM (
        SELECT UNNEST(generate_series(CAST($start_day AS DATE), CAST($end_day AS DATE), INTERVAL 1 DAY)) AS instant
    ) AS start
),

-- Who bought lately, and where from last -----------------------------------------------------------
visit AS (
    SELECT
        customer_id,
        day,
        MIN(country) AS country,
        LEAD(day) OVER (PARTITION BY customer_id ORDER BY day) AS next_day
    FROM line
    GROUP BY customer_id, day
),

active AS (
    SELECT visit.customer_id, visit.country, visit.day AS last_day, day.dt
    FROM visit
    INNER JOIN day ON day.dt BETWEEN visit.day AND LEAST(visit.day + 29, COALESCE(visit.next_day - 1, visit.day + 29))
),

-- What the customer bought ------------------------------------------------------------------------------
bought AS (
    SELECT customer_id, category, day, COUNT(*) AS lines, MAX(received_at) AS received_at
    FROM line
    GROUP BY customer_id, category, day
),

taken AS (
    SELECT
        active.customer_id,
        active.dt,
        bought.category,
        SUM(bought.lines) AS lines_365d,
        SUM(CASE WHEN bought.day > active.dt - 90 THEN bought.lines ELSE 0 END) AS lines_90d,
        MAX(bought.day) AS last_day,
        MAX(bought.received_at) AS received_at
    FROM active
    INNER JOIN bought
        ON bought.customer_id = active.customer_id
        AND bought.day BETWEEN active.dt - 364 AND active.dt
    GROUP BY active.customer_id, active.dt, bought.category
),

customer AS (
    SELECT customer_id, dt, SUM(lines_365d) AS lines_365d, MAX(received_at) AS received_at
    FROM taken
    GROUP BY customer_id, dt
),

-- What the shop and each country bought, as far as it was known --------------------------------------------
sold AS (
    SELECT country, category, day, known_on, COUNT(*) AS lines
    FROM line
    GROUP BY country, category, day, known_on
),

country_shelf AS (
    SELECT day.dt, sold.country, sold.category, SUM(sold.lines) AS lines
    FROM day
    INNER JOIN sold ON sold.day BETWEEN day.dt - 29 AND day.dt AND sold.known_on <= day.dt
    GROUP BY day.dt, sold.country, sold.category
),

ranked_in_country AS (
    SELECT dt, country, category, ROW_NUMBER() OVER (PARTITION BY dt, country ORDER BY lines DESC, category) AS place
    FROM country_shelf
    WHERE country IS NOT NULL
),

shelf AS (
    SELECT
        dt,
        category,
        lines,
        SUM(lines) OVER (PARTITION BY dt) AS all_lines,
        ROW_NUMBER() OVER (PARTITION BY dt ORDER BY lines DESC, category) AS place
    FROM (
        SELECT dt, category, SUM(lines) AS lines
        FROM country_shelf
        GROUP BY dt, category
    ) AS of_the_shop
)

SELECT
    active.customer_id,
    shelf.category,
    CAST(active.dt + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(CAST(active.dt + 1 AS TIMESTAMPTZ), customer.received_at) AS created_timestamp,
    CAST(COALESCE(taken.lines_365d, 0) AS BIGINT) AS lines_365d,
    CAST(COALESCE(taken.lines_90d, 0) AS BIGINT) AS lines_90d,
    CAST(customer.lines_365d AS BIGINT) AS customer_lines_365d,
    CAST(COALESCE(taken.lines_365d, 0) / CAST(customer.lines_365d AS DOUBLE) AS FLOAT) AS share_365d,
    DATE_DIFF('day', taken.last_day, active.dt) AS days_since_bought,
    DATE_DIFF('day', active.last_day, active.dt) AS days_since_last_order,
    CAST(shelf.lines / CAST(shelf.all_lines AS DOUBLE) AS FLOAT) AS shop_share_30d,
    shelf.place AS shop_rank_30d,
    ranked_in_country.place AS country_rank_30d,
    active.dt
FROM active
INNER JOIN customer ON customer.customer_id = active.customer_id AND customer.dt = active.dt
INNER JOIN shelf ON shelf.dt = active.dt
LEFT JOIN taken
    ON taken.customer_id = active.customer_id
    AND taken.dt = active.dt
    AND taken.category = shelf.category
LEFT JOIN ranked_in_country
    ON ranked_in_country.dt = active.dt
    AND ranked_in_country.country = active.country
    AND ranked_in_country.category = shelf.category
ORDER BY active.customer_id, shelf.category, event_timestamp, created_timestamp
