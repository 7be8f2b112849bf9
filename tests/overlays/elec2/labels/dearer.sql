-- dearer: 1 when the half hour's mean price of the horizon is above that of the 7 days before the example's time.
--
-- From     elec2(half_hour, read_at, price, received_at, dt), examples(half_hour, event_timestamp)
-- Gives    half_hour, event_timestamp, label, known_at: one row per example that has a price on both sides of its time
-- $horizon_days int 1..28: how far the label looks ahead, in days from the example's time on, half-open
--
-- Neither answer is known before the horizon is over, nor before the last of its prices was received.
WITH beside AS (
    SELECT
        examples.half_hour,
        examples.event_timestamp,
        examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER)) AS over,
        AVG(CAST(elec2.price AS DECIMAL(18, 9))) FILTER (WHERE elec2.read_at < examples.event_timestamp) AS before,
        AVG(CAST(elec2.price AS DECIMAL(18, 9))) FILTER (WHERE elec2.read_at >= examples.event_timestamp) AS after,
        MAX(elec2.received_at) AS received_at
    FROM examples
    INNER JOIN elec2
        ON elec2.half_hour = examples.half_hour
        AND elec2.read_at >= examples.event_timestamp - INTERVAL 7 DAYS
        AND elec2.read_at < examples.event_timestamp + to_days(CAST($horizon_days AS INTEGER))
    WHERE elec2.dt <= CAST($known_until AS DATE) AND elec2.received_at <= $known_until
    GROUP BY examples.half_hour, examples.event_timestamp
)

SELECT half_hour, event_timestamp, CAST(after > before AS TINYINT) AS label, GREATEST(over, received_at) AS known_at
FROM beside
WHERE before IS NOT NULL AND after IS NOT NULL
