-- no_order: 1 when a customer places no order in the horizon after the example's time.
--
-- From     orders(customer_id, order_id, kind, ordered_at, received_at, dt), examples(customer_id, event_timestamp)
-- Gives    customer_id, event_timestamp, label, known_at: one row per example, by what had been received at $known_until
-- $horizon_days int 1..3660: how far the label looks ahead, in days from the example's time on, half-open
--
-- Only sales make orders. An order stands at its first sale line. That somebody has ordered is known once the order
-- is, that nobody has when the horizon is over.
WITH purchase AS (
    SELECT customer_id, order_id, MIN(ordered_at) AS placed_at, MIN(received_at) AS received_at
    FROM orders
    WHERE kind = 'sale' AND dt <= CAST($known_until AS DATE) AND received_at <= $known_until
    GROUP BY customer_id, order_id
),

returned AS (
    SELECT examples.customer_id, examples.event_timestamp, MIN(purchase.received_at) AS received_at
    FROM examples
    INNER JOIN purchase
        ON purchase.customer_id = examples.customer_id
        AND purchase.placed_at >= examples.event_timestamp
        AND purchase.placed_at < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    GROUP BY examples.customer_id, examples.event_timestamp
)

SELECT
    examples.customer_id,
    examples.event_timestamp,
    CAST(returned.customer_id IS NULL AS TINYINT) AS label,
    COALESCE(returned.received_at, examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))) AS known_at
FROM examples
LEFT JOIN returned
    ON returned.customer_id = examples.customer_id
    AND returned.event_timestamp = examples.event_timestamp
