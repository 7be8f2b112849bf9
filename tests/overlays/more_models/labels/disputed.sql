-- disputed: 1 when an order is disputed or cancelled within the horizon after the example's time.
--
-- From     orders(order_id, kind, ref_order_id, ordered_at, received_at, dt), examples(order_id, event_timestamp)
-- Gives    order_id, event_timestamp, label, known_at
-- $horizon_days int 1..120: how far the label looks ahead, in days, half-open
-- $cancellations text: "count" where a cancellation counts as a dispute, anything else where it does not
WITH undone AS (
    SELECT ref_order_id AS order_id, MIN(ordered_at) AS undone_at, MIN(received_at) AS received_at
    FROM orders
    WHERE
        (kind = 'dispute' OR (kind = 'cancellation' AND $cancellations = 'count'))
        AND ref_order_id IS NOT NULL
        AND received_at <= $known_until
    GROUP BY ref_order_id
)

SELECT
    examples.order_id,
    examples.event_timestamp,
    CAST(undone.order_id IS NOT NULL AS TINYINT) AS label,
    CASE
        WHEN undone.order_id IS NOT NULL THEN GREATEST(undone.received_at, examples.event_timestamp)
        ELSE examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    END AS known_at
FROM examples
LEFT JOIN undone
    ON undone.order_id = examples.order_id
    AND undone.undone_at < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
