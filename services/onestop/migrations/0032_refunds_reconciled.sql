-- Hoàn trong đối soát ba bên: money that goes back is compared too. On which day a payment was given back by a decision here, lines of the
-- treasury below 0, and four kinds of differences.
--
-- Who may see the rows stays as it was. Expand only: the version before refuses a file with a line below 0 as before, knows no difference of
-- kinds 12 to 15 (a list with one fails until that version is gone), and notes of no refund on which day it was made: run the statement below
-- once more when that version is gone. Way back: drop the index and the column, delete differences of kinds 12 to 15 and files with lines below
-- 0, and set both constraints as 0025 and 0019 have them.

ALTER TABLE charge_payments ADD COLUMN refund_day date;    -- on which it was given back, in Việt Nam
SELECT egov.allow_update('charge_payments', 'refund_day');
CREATE INDEX charge_payments_by_refund ON charge_payments (collecting_unit_id, refund_day, payment_id) WHERE refund_day IS NOT NULL;

ALTER TABLE payment_differences DROP CONSTRAINT payment_differences_kind_check;
ALTER TABLE payment_differences ADD CONSTRAINT payment_differences_kind_check CHECK (kind BETWEEN 1 AND 15);

-- Money that went back is below 0.
ALTER TABLE treasury_entries DROP CONSTRAINT treasury_entries_amount_vnd_check;
ALTER TABLE treasury_entries ADD CONSTRAINT treasury_entries_amount_vnd_check CHECK (amount_vnd <> 0);

-- Forced row-level security binds the owner of the tables too; the scope is that of this transaction.
SELECT set_config('egov.scope_all', 'on', true);
UPDATE charge_payments SET refund_day = ((refund ->> 'done_time')::timestamptz AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
WHERE refund ->> 'done_time' IS NOT NULL;
SELECT set_config('egov.scope_all', 'off', true);
