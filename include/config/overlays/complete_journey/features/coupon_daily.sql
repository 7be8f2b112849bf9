-- coupon_daily: one row per customer that was ever sent a campaign and UTC day, as it stood when that day was over.
--
-- From     campaigns(customer_id, campaign_id, campaign_type, ends_at, received_at, dt),
--          redemptions(customer_id, campaign_id, received_at, dt)
-- Between  $start_day and $end_day, both included; a range gives the same rows as its days one by one.
-- Whom     customers of a campaign that began on the day before, or earlier.
--
-- Both sources are of the shop's days, which end five hours after the UTC day of the same name: of day D nothing is
-- known at D+1 00:00Z. So a row counts what is of the days before D.
WITH days AS (
    SELECT CAST(UNNEST(GENERATE_SERIES(CAST($start_day AS DATE), CAST($end_day AS DATE), INTERVAL 1 DAY)) AS DATE) AS day
),

redeemed AS (
    SELECT
        redemptions.customer_id,
        redemptions.campaign_id,
        days.day,
        COUNT(*) AS coupons,
        MAX(redemptions.dt) AS last_day,
        MAX(redemptions.received_at) AS received_at
    FROM redemptions
    INNER JOIN days ON redemptions.dt < days.day
    GROUP BY redemptions.customer_id, redemptions.campaign_id, days.day
),

sent AS (
    SELECT
        campaigns.customer_id,
        days.day,
        campaigns.campaign_type,
        CAST(campaigns.ends_at AS DATE) > days.day AS is_running,
        campaigns.dt AS first_day,
        CAST(campaigns.ends_at AS DATE) AS last_day,
        COALESCE(redeemed.coupons, 0) AS coupons,
        redeemed.last_day AS redeemed_day,
        GREATEST(campaigns.received_at, redeemed.received_at) AS received_at
    FROM campaigns
    INNER JOIN days ON campaigns.dt < days.day
    LEFT JOIN redeemed
        ON redeemed.customer_id = campaigns.customer_id
        AND redeemed.campaign_id = campaigns.campaign_id
        AND redeemed.day = days.day
)

SELECT
    customer_id,
    CAST(day + 1 AS TIMESTAMPTZ) AS event_timestamp,
    GREATEST(CAST(day + 1 AS TIMESTAMPTZ), MAX(received_at)) AS created_timestamp,
    COUNT(CASE WHEN is_running THEN 1 END) AS campaigns_running,
    COUNT(CASE WHEN is_running AND campaign_type = 'Type A' THEN 1 END) AS picked_campaigns_running,
    day - MAX(CASE WHEN is_running THEN first_day END) AS days_since_newest_began,
    MAX(CASE WHEN is_running THEN last_day END) - day AS days_until_last_ends,
    COUNT(*) AS campaigns_sent,
    COUNT(CASE WHEN coupons > 0 THEN 1 END) AS campaigns_redeemed,
    CAST(SUM(coupons) AS BIGINT) AS coupons_redeemed,
    CAST(SUM(CASE WHEN is_running THEN coupons ELSE 0 END) AS BIGINT) AS coupons_redeemed_running,
    day - MAX(redeemed_day) AS days_since_redemption,
    day AS dt
FROM sent
GROUP BY customer_id, day
ORDER BY customer_id, event_timestamp, created_timestamp
