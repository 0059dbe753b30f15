-- Phí, lệ phí: payments are found by the unit whose receipt they are, each receipt once; what the treasury booked for another case is a
-- difference; a day on which nothing was booked has a file too.
--
-- Who may see the rows stays as it was. The version before goes on with this: it reads by the unit of the case, knows no difference of kind
-- 11 (a list with one fails until that version is gone), and takes the same content once a unit instead of once a unit and day. Way back:
-- drop the two indexes, delete differences of kind 11, set both constraints as 0019 has them (files of the same content of several days
-- are to be deleted first).

-- Whose receipt it is never changes; the unit of the case does, when that unit closes.
CREATE INDEX charge_payments_by_collector ON charge_payments (collecting_unit_id, paid_day, payment_id) WHERE paid_day IS NOT NULL;

-- A receipt with the code of an order would be booked with the order, and no money of its own.
CREATE UNIQUE INDEX charge_payments_reference ON charge_payments (collecting_unit_id, reference) WHERE reference <> '';

ALTER TABLE payment_differences DROP CONSTRAINT payment_differences_kind_check;
ALTER TABLE payment_differences ADD CONSTRAINT payment_differences_kind_check CHECK (kind BETWEEN 1 AND 11);

-- A file with the names of the columns alone is the same every day.
ALTER TABLE treasury_files DROP CONSTRAINT treasury_files_content;
ALTER TABLE treasury_files ADD CONSTRAINT treasury_files_content UNIQUE (responsible_unit_id, day, sha256);
