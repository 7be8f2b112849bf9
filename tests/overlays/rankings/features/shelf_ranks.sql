-- shelf_ranks: the place of each category in a customer's list, as a feature for other models.
--
-- From     predictions(customer_id, category, dt, role, rank, feature_created_timestamp, …) of the model next_shelf
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     those whom the champion scored that day.
SELECT
    customer_id,
    category,
    CAST(dt + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(CAST(dt + 1 AS TIMESTAMPTZ), feature_created_timestamp) AS created_timestamp,
    CAST(rank AS BIGINT) AS shelf_rank,
    dt
FROM predictions
WHERE role = 'champion' AND dt BETWEEN CAST($start_day AS DATE) AND CAST($end_day AS DATE)
