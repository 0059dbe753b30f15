-- Partners: what is sent to them, orders to pay, questions to the population database, codes without a translation.
--
-- Expand-only; to go back, drop the tables of this file. Every row belongs to the unit for which something is done and is
-- behind row-level security by it. Messages are kept sealed (keyring purpose `answers`), and only while they may be sent.

-- An act towards a partner. `sequence` orders what concerns one matter (`order_key`): writers of one matter take an advisory
-- lock on it, so that the numbers of one matter are in the order of the commits.
CREATE TABLE deliveries (
    delivery_id         uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    sequence            bigint      GENERATED ALWAYS AS IDENTITY,
    partner             text        NOT NULL,
    act                 text        NOT NULL,
    partner_key         text        NOT NULL,
    order_key           text        NOT NULL,
    contract            text        NOT NULL,
    -- 1 queued, 2 sent, 3 acknowledged, 4 outcome unknown, 5 failed, 6 dead.
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 6),
    attempts            int         NOT NULL CHECK (attempts >= 0),
    problem             text        NOT NULL,
    partner_code        text        NOT NULL,
    reference           text        NOT NULL,
    message             bytea,
    answer              bytea,
    due_time            timestamptz NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    UNIQUE (partner, act, partner_key)
);
CREATE INDEX deliveries_due ON deliveries (partner, due_time, delivery_id) WHERE state IN (1, 2, 4);
CREATE INDEX deliveries_in_order ON deliveries (partner, order_key, sequence);
CREATE INDEX deliveries_by_unit_and_time ON deliveries (responsible_unit_id, create_time DESC, delivery_id DESC);
SELECT egov.allow_update('deliveries', 'state', 'attempts', 'problem', 'partner_code', 'reference', 'message', 'answer',
                         'due_time', 'version', 'update_time');
SELECT egov.protect('deliveries');

CREATE TABLE delivery_history (
    delivery_id         uuid        NOT NULL REFERENCES deliveries,
    version             bigint      NOT NULL,
    responsible_unit_id int         NOT NULL,
    state               smallint    NOT NULL,
    problem             text        NOT NULL,
    actor               text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (delivery_id, version)
);
SELECT egov.protect('delivery_history');
SELECT egov.append_only('delivery_history');

-- An order to pay. State 1 ordered, 2 pending, 3 paid, 4 refunded, 5 expired. While it is open, the platform is asked at
-- `ask_time`, in case its call-back was lost.
CREATE TABLE payment_orders (
    order_id            uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    order_code          text        NOT NULL UNIQUE,
    case_code           text        NOT NULL,
    amount              bigint      NOT NULL CHECK (amount > 0),
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 5),
    pay_url             text        NOT NULL,
    transaction         text        NOT NULL,
    delivery_id         uuid        NOT NULL REFERENCES deliveries,
    ask_time            timestamptz NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL
);
CREATE INDEX payment_orders_to_ask ON payment_orders (ask_time, order_id) WHERE state = 2;
SELECT egov.allow_update('payment_orders', 'state', 'pay_url', 'transaction', 'ask_time', 'version', 'update_time');
SELECT egov.protect('payment_orders');

-- Call-backs that were believed, each once, also those without an effect.
CREATE TABLE payment_notices (
    notice_id           text        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    order_id            uuid        NOT NULL REFERENCES payment_orders,
    state               smallint    NOT NULL,
    had_effect          boolean     NOT NULL,
    record_time         timestamptz NOT NULL
);
SELECT egov.protect('payment_notices');
SELECT egov.append_only('payment_notices');

-- Questions to the population database: who asked, for what, on which legal basis, under which code; not about whom, unless the
-- person is known to identity.
CREATE TABLE population_requests (
    population_request_id uuid      PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    request_code        text        NOT NULL UNIQUE,
    operation           text        NOT NULL,
    service_code        text        NOT NULL,
    legal_basis         text        NOT NULL,
    officer_code        text        NOT NULL,
    case_code           text        NOT NULL,
    citizen_id          uuid,
    actor               text        NOT NULL,
    purpose             text        NOT NULL,
    record_time         timestamptz NOT NULL
);
SELECT egov.protect('population_requests');
SELECT egov.append_only('population_requests');

-- Codes that no code table in force knows, counted.
CREATE TABLE unmapped_values (
    unmapped_value_id   uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    code_table          text        NOT NULL,
    from_side           text        NOT NULL,
    to_side             text        NOT NULL,
    table_version       int         NOT NULL,
    value               text        NOT NULL,
    path                text        NOT NULL,
    count               bigint      NOT NULL CHECK (count >= 1),
    last_time           timestamptz NOT NULL,
    UNIQUE (responsible_unit_id, code_table, from_side, to_side, table_version, value, path)
);
CREATE INDEX unmapped_values_by_time ON unmapped_values (responsible_unit_id, last_time DESC, unmapped_value_id DESC);
SELECT egov.allow_update('unmapped_values', 'count', 'last_time');
SELECT egov.protect('unmapped_values');
