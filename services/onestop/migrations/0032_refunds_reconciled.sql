-- Hoàn trong đối soát ba bên: money that goes back is compared too. On which day a payment was given back by a decision here, lines of the
-- treasury below 0, and four kinds of differences.
--
-- Who may see the rows stays as it was. Expand only: the version before refuses a file with a line below 0 as before, knows no difference of
-- kinds 12 to 15 (a list with one fails until that version is gone), and notes of no refund on which day it was made. Refunds of before get
-- their day by 0035, and what that version gives back after it by the job `onestop.version-before`. Way back: drop both indexes and the column,
-- delete differences of kinds 12 to 15 and files with lines below 0, and set both constraints as 0025 and 0019 have them.

ALTER TABLE charge_payments ADD COLUMN refund_day date;    -- on which it was given back, in Việt Nam
SELECT egov.allow_update('charge_payments', 'refund_day');
CREATE INDEX charge_payments_by_refund ON charge_payments (collecting_unit_id, refund_day, payment_id) WHERE refund_day IS NOT NULL;

ALTER TABLE payment_differences DROP CONSTRAINT payment_differences_kind_check;
-- Wider than before, so what is there need not be read while the table is held; 0035 validates both.
ALTER TABLE payment_differences ADD CONSTRAINT payment_differences_kind_check CHECK (kind BETWEEN 1 AND 15) NOT VALID;

-- Money that went back without a decision here stands in the way of its payment, also when somebody settled the difference.
CREATE INDEX payment_differences_returned ON payment_differences (payment_id) WHERE kind IN (12, 14) AND state IN (1, 2);

-- Money that went back is below 0.
ALTER TABLE treasury_entries DROP CONSTRAINT treasury_entries_amount_vnd_check;
ALTER TABLE treasury_entries ADD CONSTRAINT treasury_entries_amount_vnd_check CHECK (amount_vnd <> 0) NOT VALID;
