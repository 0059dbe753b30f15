-- Quầy giao dịch: groups of counters with one queue each, and the tickets of the queue.
--
-- Expand-only: new tables. A ticket names nobody: whoever holds the paper is next. Who may serve a unit's counters sees its
-- rows; the public board reads numbers only. Back: drop the three tables.

CREATE TABLE counter_groups (
    group_id            uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    code                text        NOT NULL COLLATE "C",
    name                text        NOT NULL,
    letter              text        NOT NULL CHECK (letter ~ '^[A-Z]$'),
    counters            int         NOT NULL CHECK (counters BETWEEN 1 AND 99),
    open                boolean     NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    CONSTRAINT counter_groups_code UNIQUE (responsible_unit_id, code),
    -- Two groups of one board do not call the same numbers.
    CONSTRAINT counter_groups_letter UNIQUE (responsible_unit_id, letter)
);
SELECT egov.protect('counter_groups');
SELECT egov.allow_update('counter_groups', 'code', 'name', 'letter', 'counters', 'open', 'version', 'update_time');

CREATE TABLE queue_tickets (
    ticket_id           uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    group_id            uuid        NOT NULL REFERENCES counter_groups,
    day                 date        NOT NULL,
    number              int         NOT NULL CHECK (number >= 1),
    label               text        NOT NULL,       -- as it was printed
    priority            text        NOT NULL,       -- code, or empty
    rank                smallint    NOT NULL,       -- of the priority on the day; the lowest is called first
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),   -- waiting, called, skipped, finished
    counter             int,
    calls               int         NOT NULL,
    take_time           timestamptz NOT NULL,
    call_time           timestamptz,
    finish_time         timestamptz,
    version             bigint      NOT NULL CHECK (version >= 1),
    UNIQUE (group_id, day, number)
);
-- Who is next.
CREATE INDEX queue_tickets_waiting ON queue_tickets (group_id, day, rank, number) WHERE state = 1;
-- One ticket at a counter, also if two officers call to it at once.
CREATE UNIQUE INDEX queue_tickets_at_counter ON queue_tickets (group_id, day, counter) WHERE state = 2;
SELECT egov.protect('queue_tickets');
SELECT egov.allow_update('queue_tickets', 'state', 'counter', 'calls', 'call_time', 'finish_time', 'version');

-- What was done with groups and tickets: a row a version, with the bytes to which the ledger commits.
CREATE TABLE queue_acts (
    responsible_unit_id int         NOT NULL,
    kind                text        NOT NULL CHECK (kind IN ('counter_group', 'queue_ticket')),
    resource_id         uuid        NOT NULL,
    version             bigint      NOT NULL,
    act                 text        NOT NULL,       -- put | take | call | recall | skip | finish
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    record_time         timestamptz NOT NULL,
    content             text        NOT NULL,       -- JSON, word for word
    PRIMARY KEY (resource_id, version)
);
SELECT egov.protect('queue_acts');
SELECT egov.append_only('queue_acts');
