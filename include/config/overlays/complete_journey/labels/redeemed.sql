-- redeemed: 1 when a customer redeems a coupon on a day of the horizon after the example's time.
--
-- From     redemptions(customer_id, redeemed_at, received_at, dt), examples(customer_id, event_timestamp)
-- Gives    customer_id, event_timestamp, label, known_at: one row per example, by what had been received at $known_until
-- $horizon_days int 2..3660: how far the label looks ahead, in days from the example's time on
--
-- A redemption has a day and no time. The days that count are those of the shop's clock that lie in the horizon as a
-- whole, one fewer than it has: what happened on them is known when it is over.
WITH happened AS (
    SELECT examples.customer_id, examples.event_timestamp, MIN(redemptions.received_at) AS received_at
    FROM examples
    INNER JOIN redemptions
        ON redemptions.customer_id = examples.customer_id
        AND redemptions.redeemed_at >= examples.event_timestamp
        AND redemptions.redeemed_at + INTERVAL 1 DAY <= examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    WHERE redemptions.dt <= CAST($known_until AS DATE) AND redemptions.received_at <= $known_until
    GROUP BY examples.customer_id, examples.event_timestamp
)

SELECT
    examples.customer_id,
    examples.event_timestamp,
    CAST(happened.customer_id IS NOT NULL AS TINYINT) AS label,
    COALESCE(happened.received_at, examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))) AS known_at
FROM examples
LEFT JOIN happened
    ON happened.customer_id = examples.customer_id
    AND happened.event_timestamp = examples.event_timestamp
