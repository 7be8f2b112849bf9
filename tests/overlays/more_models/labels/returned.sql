-- returned: 1 when something of an order is returned within the horizon after the example's time.
--
-- From     orders(order_id, kind, ref_order_id, ordered_at, received_at, dt), examples(order_id, event_timestamp)
-- Gives    order_id, event_timestamp, label, known_at: one row per example, by what had been received at $known_until
-- $horizon_days int 1..365: how far the label looks ahead, in days from the example's time on, half-open
-- $cancellations text: "count" where a cancellation counts as a return, anything else where it does not
--
-- What returns an order says so by its ref_order_id. What returned it before the example's time is nothing that will happen.
WITH returned AS (
    SELECT examples.order_id, examples.event_timestamp, MIN(orders.received_at) AS received_at
    FROM examples
    INNER JOIN orders
        ON orders.ref_order_id = examples.order_id
        AND orders.ordered_at >= examples.event_timestamp
        AND orders.ordered_at < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    WHERE
        (orders.kind = 'return' OR (orders.kind = 'cancellation' AND $cancellations = 'count'))
        AND orders.dt <= CAST($known_until AS DATE)
        AND orders.received_at <= $known_until
    GROUP BY examples.order_id, examples.event_timestamp
)

SELECT
    examples.order_id,
    examples.event_timestamp,
    CAST(returned.order_id IS NOT NULL AS TINYINT) AS label,
    COALESCE(returned.received_at, examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))) AS known_at
FROM examples
LEFT JOIN returned
    ON returned.order_id = examples.order_id
    AND returned.event_timestamp = examples.event_timestamp
