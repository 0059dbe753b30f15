-- Phí, lệ phí: what a case owes, what was paid and refunded, what the treasury says, and where the three differ.
--
-- Expand only: new tables. A case without a row owes what its version says, as before; the version before goes on without them. A
-- charge and its payments are seen by whoever sees the case by unit or as its owner; files of the treasury, reconciliations and
-- differences by the unit whose money it is. Back: drop the tables.

-- Khoản thu of a case: a row from the first thing that is done with it.
CREATE TABLE case_charges (
    case_id             uuid        PRIMARY KEY REFERENCES cases,
    case_code           text        NOT NULL,
    responsible_unit_id int         NOT NULL,
    owner_id            uuid,
    fees                jsonb       NOT NULL,          -- domain::charge::ChargedFee, as assessed, with quantities and exemptions
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL
);
SELECT egov.protect('case_charges');
SELECT egov.allow_update('case_charges', 'responsible_unit_id', 'fees', 'version', 'update_time');

-- Khoản thanh toán: an order at the payment platform, or cash at the counter. Written with its charge, whose row is held.
CREATE TABLE charge_payments (
    payment_id          uuid        PRIMARY KEY,
    case_id             uuid        NOT NULL REFERENCES case_charges,
    case_code           text        NOT NULL,
    responsible_unit_id int         NOT NULL,
    owner_id            uuid,
    collecting_unit_id  int         NOT NULL,          -- whose receipt it is; never changes
    way                 smallint    NOT NULL CHECK (way IN (1, 2)),            -- 1 online, 2 cash
    amount_vnd          bigint      NOT NULL CHECK (amount_vnd > 0),
    -- 1 requested, 2 pending at the platform, 3 paid, 4 reconciled, 5 refund ordered, 6 refunded, 7 expired
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 7),
    order_id            uuid,                          -- of integration
    reference           text        NOT NULL,          -- order code, or number of the receipt; empty until there is one
    pay_url             text        NOT NULL,
    transaction         text        NOT NULL,
    request_time        timestamptz NOT NULL,
    paid_time           timestamptz,
    paid_day            date,                          -- in Việt Nam
    refund              jsonb,                         -- domain::charge::Refund
    poll_time           timestamptz,                   -- when integration is asked next; none if nothing is awaited
    problem             text        NOT NULL DEFAULT '',   -- why it could not be asked last, a word
    CHECK ((paid_time IS NULL) = (paid_day IS NULL)),
    CHECK (way = 1 OR order_id IS NULL)
);
CREATE INDEX charge_payments_by_case ON charge_payments (case_id, request_time, payment_id);
CREATE INDEX charge_payments_to_ask ON charge_payments (poll_time, payment_id) WHERE poll_time IS NOT NULL;
CREATE INDEX charge_payments_by_day ON charge_payments (responsible_unit_id, paid_day, payment_id) WHERE paid_day IS NOT NULL;
CREATE INDEX charge_payments_by_reference ON charge_payments (reference, payment_id) WHERE reference <> '';
-- One receipt is one payment, also if two officers enter it at once.
CREATE UNIQUE INDEX charge_payments_receipt ON charge_payments (collecting_unit_id, reference) WHERE way = 2;
SELECT egov.protect('charge_payments');
SELECT egov.allow_update('charge_payments', 'responsible_unit_id', 'state', 'order_id', 'reference', 'pay_url', 'transaction',
                         'paid_time', 'paid_day', 'refund', 'poll_time', 'problem');

-- Tệp kho bạc: what the treasury booked, line by line.
CREATE TABLE treasury_files (
    file_id             uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    day                 date        NOT NULL,          -- of which the file is
    format              text        NOT NULL,          -- the pack's name
    sha256              bytea       NOT NULL,
    entries             int         NOT NULL,
    amount_vnd          bigint      NOT NULL,
    actor_id            uuid        NOT NULL,
    import_time         timestamptz NOT NULL,
    CONSTRAINT treasury_files_content UNIQUE (responsible_unit_id, sha256)
);
CREATE INDEX treasury_files_by_day ON treasury_files (responsible_unit_id, day, file_id);
SELECT egov.protect('treasury_files');
SELECT egov.append_only('treasury_files');

CREATE TABLE treasury_entries (
    file_id             uuid        NOT NULL REFERENCES treasury_files,
    line                int         NOT NULL,
    responsible_unit_id int         NOT NULL,
    day                 date        NOT NULL,          -- on which it was booked
    case_code           text        NOT NULL,
    reference           text        NOT NULL,
    amount_vnd          bigint      NOT NULL CHECK (amount_vnd > 0),
    PRIMARY KEY (file_id, line)
);
CREATE INDEX treasury_entries_by_day ON treasury_entries (responsible_unit_id, day, file_id, line);
CREATE INDEX treasury_entries_by_reference ON treasury_entries (responsible_unit_id, reference, file_id, line);
SELECT egov.protect('treasury_entries');
SELECT egov.append_only('treasury_entries');

-- Chênh lệch: one row a unit, day, kind and reference, however often the day is reconciled.
CREATE TABLE payment_differences (
    difference_id       uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    day                 date        NOT NULL,
    kind                smallint    NOT NULL CHECK (kind BETWEEN 1 AND 10),    -- domain::reconcile::DifferenceKind
    reference           text        NOT NULL,
    case_code           text        NOT NULL,
    case_id             uuid,
    payment_id          uuid,
    content             jsonb       NOT NULL,          -- amounts and days on the three sides
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),    -- 1 open, 2 settled, 3 gone
    resolution          text        NOT NULL DEFAULT '',
    settled_by          uuid,
    settle_time         timestamptz,
    version             bigint      NOT NULL CHECK (version >= 1),
    find_time           timestamptz NOT NULL,
    CONSTRAINT payment_differences_once UNIQUE (responsible_unit_id, day, kind, reference),
    CHECK ((state = 2) = (settled_by IS NOT NULL))
);
CREATE INDEX payment_differences_by_day ON payment_differences (responsible_unit_id, day, difference_id);
CREATE INDEX payment_differences_by_payment ON payment_differences (payment_id, difference_id) WHERE state = 1;
SELECT egov.protect('payment_differences');
SELECT egov.allow_update('payment_differences', 'content', 'state', 'resolution', 'settled_by', 'settle_time', 'version');

-- What was done, a row a version, with the bytes to which the ledger commits.
CREATE TABLE fee_acts (
    responsible_unit_id int         NOT NULL,
    owner_id            uuid,
    kind                text        NOT NULL CHECK (kind IN ('case_charge', 'treasury_file', 'reconciliation', 'payment_difference')),
    resource_id         uuid        NOT NULL,
    version             bigint      NOT NULL,
    act                 text        NOT NULL,
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    on_behalf_of        uuid,
    reason              text        NOT NULL,
    record_time         timestamptz NOT NULL,
    content             text        NOT NULL,          -- JSON, word for word
    PRIMARY KEY (kind, resource_id, version)
);
SELECT egov.protect('fee_acts');
SELECT egov.append_only('fee_acts');
