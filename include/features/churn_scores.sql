-- churn_scores: the churn model's own score of a customer, as a feature for other models.
--
-- From     predictions(customer_id, dt, role, score, feature_created_timestamp, …) of the model churn
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     the customers whom the champion scored that day.
--
-- A score is a function of features that stand at the end of its day, so it stands there too, and is known once they
-- are: a night that is scored again from corrected features has a later version.
SELECT
    customer_id,
    CAST(dt + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(CAST(dt + 1 AS TIMESTAMPTZ), feature_created_timestamp) AS created_timestamp,
    score AS churn_risk_score,
    dt
FROM predictions
WHERE role = 'champion' AND dt BETWEEN CAST($start_day AS DATE) AND CAST($end_day AS DATE)
ORDER BY customer_id, event_timestamp, created_timestamp
