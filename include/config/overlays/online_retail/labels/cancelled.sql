-- cancelled: 1 when a line of an order is cancelled within the horizon after the example's time, or the order disputed.
--
-- From     orders(order_id, line, customer_id, product_id, kind, ref_order_id, ordered_at, received_at, dt),
--          examples(order_id, event_timestamp)
-- Gives    order_id, event_timestamp, label, known_at: one row per example, by what had been received at $known_until
-- $horizon_days int 1..365: how far the label looks ahead, in days from the example's time on, half-open
-- $cancellations text: "count" where a cancelled line counts, anything else where only a dispute does
--
-- A cancellation of this log names no order. It is taken to be of the customer's latest order before it that has the
-- product; one of a product that the customer had not ordered is of none.
WITH known AS (
    SELECT order_id, line, customer_id, product_id, kind, ref_order_id, ordered_at, received_at
    FROM orders
    WHERE dt <= CAST($known_until AS DATE) AND received_at <= $known_until
),

cancelled AS (
    SELECT sale.order_id, undo.ordered_at, undo.received_at
    FROM known AS undo
    INNER JOIN known AS sale
        ON sale.kind = 'sale'
        AND sale.customer_id = undo.customer_id
        AND sale.product_id = undo.product_id
        AND sale.ordered_at < undo.ordered_at
        -- What is received later changes nothing that was said.
        AND sale.received_at <= undo.received_at
    WHERE undo.kind = 'cancellation' AND $cancellations = 'count'
    QUALIFY
        ROW_NUMBER() OVER (
            PARTITION BY undo.order_id, undo.line
            ORDER BY sale.ordered_at DESC, sale.order_id
        ) = 1
),

undone AS (
    SELECT examples.order_id, examples.event_timestamp, MIN(happened.received_at) AS received_at
    FROM examples
    INNER JOIN (
        SELECT order_id, ordered_at, received_at FROM cancelled
        UNION ALL
        SELECT ref_order_id, ordered_at, received_at FROM known WHERE kind = 'dispute'
    ) AS happened
        ON happened.order_id = examples.order_id
        AND happened.ordered_at >= examples.event_timestamp
        AND happened.ordered_at < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
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
