-- Khoản thu chưa xong: what is left to pay, what the platform contradicts, and refunds that are due and not made, a row a case, so that the
-- list for accountants walks small indexes. And of a payment, what the platform says of it otherwise.
--
-- Expand only: a new table, two columns with a default. A row is written with each act that changes what is owed, held or given back, and
-- seen by whoever sees the case by unit or as its owner. The version before does not know the table: what it changes meanwhile is found by
-- the verification, and put right by the next act on the case's money. What there is is filled in by 0035. Back: drop the table and both
-- columns.

-- It changes no state, so the ledger does not commit to it.
ALTER TABLE charge_payments
    ADD COLUMN amount_differs   boolean NOT NULL DEFAULT false,   -- integration names another amount than was asked for
    ADD COLUMN listed_otherwise boolean NOT NULL DEFAULT false;   -- an open difference puts its money in doubt
SELECT egov.allow_update('charge_payments', 'amount_differs', 'listed_otherwise');

-- Without a reference to cases: its check would wait for whoever holds the case, who may wait for the charge that is held here. Cases are never
-- deleted, and the verification finds a row without one.
CREATE TABLE unsettled_charges (
    case_id             uuid        PRIMARY KEY,
    case_code           text        NOT NULL,
    procedure_code      text        NOT NULL,
    responsible_unit_id int         NOT NULL,
    owner_id            uuid,
    owed                boolean     NOT NULL,          -- something is left to pay
    in_doubt            boolean     NOT NULL,          -- the platform contradicts us
    refund_due          boolean     NOT NULL,          -- to be decided, or on its way
    order_open          boolean     NOT NULL,
    left_vnd            bigint,                        -- none if nothing is left, or if an amount is not established
    held_vnd            bigint      NOT NULL,
    refund_vnd          bigint      NOT NULL,
    since               timestamptz NOT NULL,          -- since when it has not been settled, without a break
    CHECK (owed OR in_doubt OR refund_due)
);
CREATE INDEX unsettled_charges_by_unit ON unsettled_charges (responsible_unit_id, since, case_id);
CREATE INDEX unsettled_charges_by_time ON unsettled_charges (since, case_id);
-- The few among the many that owe.
CREATE INDEX unsettled_charges_in_doubt ON unsettled_charges (responsible_unit_id, since, case_id) WHERE in_doubt;
CREATE INDEX unsettled_charges_refund_due ON unsettled_charges (responsible_unit_id, since, case_id) WHERE refund_due;
SELECT egov.protect('unsettled_charges');
SELECT egov.allow_update('unsettled_charges', 'responsible_unit_id', 'owed', 'in_doubt', 'refund_due', 'order_open', 'left_vnd',
                         'held_vnd', 'refund_vnd');
SELECT egov.allow_delete('unsettled_charges');
