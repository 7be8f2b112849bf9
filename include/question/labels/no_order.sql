-- no_order: 1 when a customer of the population places no order in the horizon after the snapshot.
--
-- From     orders(customer_id, order_id, kind, ordered_at, received_at, dt), snapshots(event_timestamp)
-- Whom     customers whose last order before the snapshot is at most $active_within_days whole days old,
--          by what had been received at the snapshot: the same rule that scoring applies to days_since_last_order.
-- Label    no order in [snapshot, snapshot + $horizon_days), by what had been received at $known_until.
--
-- Only sales make orders. An order stands at its first sale line.
WITH purchase AS (
    SELECT customer_id, order_id, MIN(ordered_at) AS placed_at, MIN(received_at) AS known_at
    FROM orders
    WHERE kind = 'sale' AND dt <= CAST($as_of AS DATE) AND received_at <= $known_until
    GROUP BY customer_id, order_id
),

population AS (
    SELECT DISTINCT purchase.customer_id, snapshots.event_timestamp
    FROM snapshots
    INNER JOIN purchase
        ON purchase.placed_at < snapshots.event_timestamp
        -- "30 whole days old" lasts until the 31st day begins.
        AND purchase.placed_at > snapshots.event_timestamp - to_days(CAST($active_within_days + 1 AS INTEGER))
        AND purchase.known_at <= snapshots.event_timestamp
),

returned AS (
    SELECT DISTINCT population.customer_id, population.event_timestamp
    FROM population
    INNER JOIN purchase
        ON purchase.customer_id = population.customer_id
        AND purchase.placed_at >= population.event_timestamp
        AND purchase.placed_at < population.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
)

SELECT
    population.customer_id,
    population.event_timestamp,
    CAST(returned.customer_id IS NULL AS TINYINT) AS label
FROM population
LEFT JOIN returned
    ON returned.customer_id = population.customer_id
    AND returned.event_timestamp = population.event_timestamp
ORDER BY population.event_timestamp, population.customer_id
