-- half_hour_daily: one row per half hour of the day and UTC day, as it stood when that day was over.
--
-- From     elec2(half_hour, read_at, price, demand, received_at, dt)
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     half hours that were read on the day; of several readings the last one counts.
--
-- Means are of DECIMAL: exact, whatever the order of the rows.
WITH reading AS (
    SELECT
        half_hour,
        dt AS day,
        price,
        demand,
        AVG(CAST(price AS DECIMAL(18, 9))) OVER last_week AS price_mean_7d,
        AVG(CAST(demand AS DECIMAL(18, 9))) OVER last_week AS demand_mean_7d,
        MAX(received_at) OVER last_week AS received_at
    FROM (
        SELECT half_hour, price, demand, received_at, dt
        FROM elec2
        WHERE dt BETWEEN CAST($start_day AS DATE) - 6 AND CAST($end_day AS DATE)
        QUALIFY ROW_NUMBER() OVER (PARTITION BY half_hour, dt ORDER BY read_at DESC) = 1
    ) AS last_reading
    WINDOW last_week AS (PARTITION BY half_hour ORDER BY dt RANGE BETWEEN INTERVAL 6 DAYS PRECEDING AND CURRENT ROW)
)

SELECT
    half_hour,
    CAST(day + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(event_timestamp, received_at) AS created_timestamp,
    price,
    price_mean_7d,
    demand,
    demand / NULLIF(demand_mean_7d, 0) AS demand_to_mean_7d,
    day AS dt
FROM reading
WHERE day >= CAST($start_day AS DATE)
ORDER BY half_hour, event_timestamp, created_timestamp
