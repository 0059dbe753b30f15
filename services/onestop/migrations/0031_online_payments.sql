-- Thanh toán trực tuyến in the figures: payments that came in (measure 28), and those of them at the platform (29), each on the day on
-- which it was paid, at the unit whose receipt it is.
--
-- Who may see the rows stays as it was. Payments of before become known to the figures today: a report of before comes out as it was made.
-- Expand only: the version before says of no payment when it became known, and counts none: what is paid meanwhile is missing until
-- `cargo egov statistics rebuild`, and `cargo egov verify` names it. Way back: drop the column, delete both measures of `statistic_changes`
-- and `statistic_sums`.

ALTER TABLE charge_payments ADD COLUMN known_day date;     -- on which it became known here that it was paid; never changes
SELECT egov.allow_update('charge_payments', 'known_day');

-- Forced row-level security binds the owner of the tables too; the scope is that of this transaction.
SELECT set_config('egov.scope_all', 'on', true);
UPDATE charge_payments SET known_day = greatest(paid_day, (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date) WHERE paid_day IS NOT NULL;
INSERT INTO statistic_changes (responsible_unit_id, procedure_code, officer_id, day, recorded, measure, amount, case_id)
SELECT p.collecting_unit_id, c.procedure_code, '00000000-0000-0000-0000-000000000000', p.paid_day,
       CASE WHEN p.known_day > p.paid_day THEN p.known_day ELSE DATE '0001-01-01' END, m.measure, 1, p.case_id
FROM charge_payments AS p
JOIN cases AS c USING (case_id)
CROSS JOIN (VALUES (28::smallint), (29::smallint)) AS m (measure)
WHERE p.paid_day IS NOT NULL AND (m.measure = 28 OR p.way = 1);
SELECT set_config('egov.scope_all', 'off', true);
