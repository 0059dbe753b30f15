-- Thanh toán trực tuyến in the figures: payments that came in (measure 28), and those of them at the platform (29), each on the day on
-- which it was paid, at the unit whose receipt it is.
--
-- Who may see the rows stays as it was. Payments of before are counted by 0035, and become known to the figures by it: a report of before
-- comes out as it was made.
-- Expand only: the version before says of no payment when it became known, and counts none: what is paid meanwhile is missing until
-- `cargo egov statistics rebuild`, and `cargo egov verify` names it. Way back: drop the column, delete both measures of `statistic_changes`
-- and `statistic_sums`.

ALTER TABLE charge_payments ADD COLUMN known_day date;     -- on which it became known here that it was paid; never changes
SELECT egov.allow_update('charge_payments', 'known_day');
