-- When the payment platform says that an order was paid, and that the money went back.
--
-- Why: the day of a payment in the three-way reconciliation (đối soát) is the day on which it stands in the platform's list. The time at which
-- we heard of it is another one: what is paid shortly before midnight would be listed on another day than ours.
--
-- Orders of before, and what an instance of before hears, have neither: for these it stays the time at which we heard of it. Expand only. To go
-- back: drop the columns.

ALTER TABLE payment_orders
    ADD COLUMN settle_time timestamptz,
    ADD COLUMN refund_time timestamptz;
SELECT egov.allow_update('payment_orders', 'settle_time', 'refund_time');
