-- disputed: 1 when an order is disputed or cancelled within the horizon after the example's time.
--
-- From     orders(order_id, kind, ref_order_id, ordered_at, received_at, dt), examples(order_id, event_timestamp)
-- Gives    order_id, event_timestamp, label, known_at: one row per example, by what had been received at $known_until
-- $horizon_days int 1..365: how far the label looks ahead, in days from the example's time on, half-open
-- $cancellations text: "count" where a cancellation counts as a dispute, anything else where it does not
--
-- What undoes an order says so by its ref_order_id. What undid it before the example's time is nothing that will happen.
WITH undone AS (
    SELECT examples.order_id, examples.event_timestamp, MIN(orders.received_at) AS received_at
    FROM examples
    INNER JOIN orders
        ON orders.ref_order_id = examples.order_id
        AND orders.ordered_at >= examples.event_timestamp
        AND orders.ordered_at < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    WHERE
        (orders.kind = 'dispute' OR (orders.kind = 'cancellation' AND $cancellations = 'count'))
        AND orders.dt <= CAST($known_until AS DATE)
        AND orders.received_at <= $known_until
    GROUP BY examples.order_id, examples.event_timestamp
)

SELECT
    examples.order_id,
    examples.event_timestamp,
    CAST(undone.order_id IS NOT NULL AS TINYINT) AS label,
    COALESCE(undone.received_at, examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))) AS known_at
FROM examples
LEFT JOIN undone
    ON undone.order_id = examples.order_id
    AND undone.event_timestamp = examples.event_timestamp
