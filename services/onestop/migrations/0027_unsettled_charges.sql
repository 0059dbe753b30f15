-- Khoản thu chưa xong: what is left to pay, what the platform contradicts, and refunds that are due and not made, a row a case, so that the
-- list for accountants walks small indexes. And of a payment, what the platform says of it otherwise.
--
-- Expand only: a new table, two columns with a default. A row is written with each act that changes what is owed, held or given back, and
-- seen by whoever sees the case by unit or as its owner. The version before does not know the table: what it changes meanwhile is found by
-- the verification, and put right by the next act on the case's money. Back: drop the table and both columns.

-- It changes no state, so the ledger does not commit to it.
ALTER TABLE charge_payments
    ADD COLUMN amount_differs   boolean NOT NULL DEFAULT false,   -- integration names another amount than was asked for
    ADD COLUMN listed_otherwise boolean NOT NULL DEFAULT false;   -- an open difference: the platform's list lacks it, or has it otherwise
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

-- What there is. Forced row-level security binds the owner of the tables too; the scope is that of this transaction.
SELECT set_config('egov.scope_all', 'on', true);
UPDATE charge_payments SET amount_differs = true WHERE problem = 'AMOUNT_DIFFERS';
UPDATE charge_payments AS p SET listed_otherwise = true
WHERE EXISTS (SELECT 1 FROM payment_differences AS d WHERE d.payment_id = p.payment_id AND d.state = 1 AND d.kind IN (1, 5, 7));
WITH paid AS (
    SELECT case_id, sum(amount_vnd) FILTER (WHERE state IN (3, 4)) AS held, sum(amount_vnd) FILTER (WHERE state = 5) AS on_its_way,
           bool_or(state IN (1, 2)) AS ordered,
           bool_or(state <> 6 AND (amount_differs OR listed_otherwise AND state IN (3, 4, 5))) AS doubted
    FROM charge_payments GROUP BY case_id
), charged AS (
    SELECT c.case_id, c.case_code, c.procedure_code, c.responsible_unit_id, c.owner_id, coalesce(h.update_time, c.accept_time) AS since,
           c.state NOT IN (3, 7, 8) AS obliged, coalesce(h.fees, c.fees) AS fees
    FROM cases AS c LEFT JOIN case_charges AS h USING (case_id)
    WHERE c.accept_time IS NOT NULL
), money AS (
    SELECT charged.*, obliged AND coalesce(f.unestablished, false) AS unestablished, CASE WHEN obliged THEN coalesce(f.due, 0) ELSE 0 END AS due,
           coalesce(held, 0) AS held, coalesce(on_its_way, 0) AS on_its_way, coalesce(ordered, false) AS ordered,
           coalesce(doubted, false) AS doubted
    FROM charged
    LEFT JOIN paid USING (case_id),
    LATERAL (SELECT bool_or(due IS NULL) AS unestablished, sum(due) AS due
             FROM (SELECT CASE WHEN jsonb_typeof(fee -> 'exemption') = 'object' THEN (fee #>> '{exemption,reduced_to_vnd}')::bigint
                               ELSE (fee ->> 'amount_vnd')::bigint * coalesce((fee ->> 'quantity')::bigint, 1) END AS due
                   FROM jsonb_array_elements(charged.fees) AS listed (fee)) AS each_fee) AS f
)
INSERT INTO unsettled_charges (case_id, case_code, procedure_code, responsible_unit_id, owner_id, owed, in_doubt, refund_due, order_open,
                               left_vnd, held_vnd, refund_vnd, since)
SELECT case_id, case_code, procedure_code, responsible_unit_id, owner_id, unestablished OR held < due, doubted,
       on_its_way > 0 OR NOT unestablished AND held > due, ordered, CASE WHEN NOT unestablished AND held < due THEN due - held END, held,
       on_its_way + CASE WHEN unestablished THEN 0 ELSE greatest(held - due, 0) END, since
FROM money
WHERE unestablished OR held < due OR doubted OR on_its_way > 0 OR held > due;
SELECT set_config('egov.scope_all', 'off', true);
