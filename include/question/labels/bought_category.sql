-- bought_category: 1 when a customer buys from a category within the horizon after the example's time.
--
-- From     orders(customer_id, category, kind, ordered_at, received_at, dt),
--          examples(customer_id, category, event_timestamp)
-- Gives    customer_id, category, event_timestamp, label, known_at: one row per example
-- $horizon_days int 1..365: how far the label looks ahead, in days from the example's time on, half-open
--
-- Only sale lines count. A purchase is known once a line of it is received, that there was none when the horizon is over.
WITH bought AS (
    SELECT examples.customer_id, examples.category, examples.event_timestamp, MIN(orders.received_at) AS received_at
    FROM examples
    INNER JOIN orders
        ON orders.customer_id = examples.customer_id
        AND orders.category = examples.category
        AND orders.ordered_at >= examples.event_timestamp
        AND orders.ordered_at < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    WHERE orders.kind = 'sale' AND orders.dt <= CAST($known_until AS DATE) AND orders.received_at <= $known_until
    GROUP BY examples.customer_id, examples.category, examples.event_timestamp
)

SELECT
    examples.customer_id,
    examples.category,
    examples.event_timestamp,
    CAST(bought.customer_id IS NOT NULL AS TINYINT) AS label,
    COALESCE(bought.received_at, examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))) AS known_at
FROM examples
LEFT JOIN bought
    ON bought.customer_id = examples.customer_id
    AND bought.category = examples.category
    AND bought.event_timestamp = examples.event_timestamp
