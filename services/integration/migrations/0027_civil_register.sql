-- Đồng bộ, đối soát sổ hộ tịch với CSDL hộ tịch điện tử: what the Ministry's register knows of each entry, what it reports of changes that were made
-- elsewhere, and where both sides differ.
--
-- Why: each entry reaches the register once in effect, and somebody has to see which did not; what the register reports is received, and decided on by an
-- officer. Every row belongs to a unit and is behind row-level security by it; a received change that is no known unit's is the province's.
-- Personal data is in `register_changes.content` alone, sealed. Expand only: an instance of before works on without these rows. To go back: drop the
-- tables of this file.

-- One row an entry (việc hộ tịch) that was ever handed in for the register; written with the delivery, and again when that is acknowledged.
CREATE TABLE register_entries (
    entry_id             uuid        PRIMARY KEY,
    responsible_unit_id  int         NOT NULL,
    -- 1 khai sinh, 2 kết hôn, 3 khai tử.
    kind                 smallint    NOT NULL CHECK (kind BETWEEN 1 AND 3),
    year                 int         NOT NULL,
    number               int         NOT NULL CHECK (number > 0),
    told_version         bigint      NOT NULL CHECK (told_version >= 1),
    -- By what its content is known again: keyed, so that it says nothing without the keyring.
    told_digest          text        NOT NULL,
    told_time            timestamptz NOT NULL,
    acknowledged_version bigint      CHECK (acknowledged_version >= 1),
    acknowledged_time    timestamptz
);
CREATE INDEX register_entries_by_unit_and_time ON register_entries (responsible_unit_id, told_time DESC, entry_id DESC);
CREATE INDEX register_entries_waiting ON register_entries (responsible_unit_id, told_time DESC, entry_id DESC)
    WHERE acknowledged_version IS DISTINCT FROM told_version;
-- For whoever sees several units, or all.
CREATE INDEX register_entries_by_time ON register_entries (told_time DESC, entry_id DESC);
CREATE INDEX register_entries_by_place ON register_entries (responsible_unit_id, kind, year, number);
SELECT egov.allow_update('register_entries', 'told_version', 'told_digest', 'told_time', 'acknowledged_version', 'acknowledged_time');
SELECT egov.protect('register_entries');

-- Of whom an entry tells: ids of the civil registry, by which a reported change of a person is matched.
CREATE TABLE register_subjects (
    person_id           uuid NOT NULL,
    entry_id            uuid NOT NULL REFERENCES register_entries,
    responsible_unit_id int  NOT NULL,
    PRIMARY KEY (person_id, entry_id)
);
SELECT egov.protect('register_subjects');
SELECT egov.append_only('register_subjects');

-- A change that the register reported, as it was received: once, however often it is reported. Nothing of ours changes by it.
CREATE TABLE register_changes (
    change_id           uuid        PRIMARY KEY,
    -- The register's own id of it.
    register_key        text        NOT NULL UNIQUE,
    responsible_unit_id int         NOT NULL,
    -- What it says, sealed.
    content             bytea       NOT NULL,
    -- 0 by nothing, 1 by number, book and year, 2 by the personal number.
    matched_by          smallint    NOT NULL CHECK (matched_by BETWEEN 0 AND 2),
    entry_ids           uuid[]      NOT NULL,
    -- The person whom it is about, by the civil registry's id, if it knows the personal number.
    person_id           uuid,
    receive_time        timestamptz NOT NULL,
    CHECK ((matched_by = 0) = (entry_ids = '{}'))
);
CREATE INDEX register_changes_by_unit_and_time ON register_changes (responsible_unit_id, receive_time DESC, change_id DESC);
CREATE INDEX register_changes_by_time ON register_changes (receive_time DESC, change_id DESC);
SELECT egov.protect('register_changes');
SELECT egov.append_only('register_changes');

-- How far the register's changes were received: moved in the transaction that receives them. It has one row, and no wall: it says nothing of anybody.
CREATE TABLE register_cursor (
    is_the_one  boolean     PRIMARY KEY DEFAULT true CHECK (is_the_one),
    place       text        NOT NULL,
    update_time timestamptz NOT NULL
);
SELECT egov.allow_update('register_cursor', 'place', 'update_time');

-- A reconciliation of a commune's books of a year. State 1 queued, 2 done, 3 failed. One that nobody asked for is there once a day.
CREATE TABLE register_reconciliations (
    reconciliation_id   uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    year                int         NOT NULL,
    repair              boolean     NOT NULL,
    -- The day on which the job asked for it; none if somebody did.
    own_day             date,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),
    compared            int         NOT NULL CHECK (compared >= 0),
    equal               int         NOT NULL CHECK (equal >= 0),
    waiting             int         NOT NULL CHECK (waiting >= 0),
    differing           int         NOT NULL CHECK (differing >= 0),
    attempts            int         NOT NULL CHECK (attempts >= 0),
    problem             text        NOT NULL,
    due_time            timestamptz NOT NULL,
    actor               text        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    end_time            timestamptz
);
CREATE UNIQUE INDEX register_reconciliations_own ON register_reconciliations (responsible_unit_id, year, own_day)
    WHERE own_day IS NOT NULL;
CREATE INDEX register_reconciliations_due ON register_reconciliations (due_time, reconciliation_id) WHERE state = 1;
SELECT egov.allow_update('register_reconciliations', 'state', 'compared', 'equal', 'waiting', 'differing', 'attempts', 'problem',
                         'due_time', 'version', 'end_time');
SELECT egov.protect('register_reconciliations');

-- A difference. Kind 1 missing there, 2 different, 3 missing here. State 1 open, 2 told again (repaired when that delivery is acknowledged), 3 settled by
-- hand. It names fields, and no values.
CREATE TABLE register_differences (
    difference_id       uuid        PRIMARY KEY,
    reconciliation_id   uuid        NOT NULL REFERENCES register_reconciliations,
    responsible_unit_id int         NOT NULL,
    -- The key of the entry at the register: our id of it, unless it is missing here.
    register_key        text        NOT NULL,
    entry_id            uuid,
    registration_kind   smallint    NOT NULL CHECK (registration_kind BETWEEN 1 AND 3),
    year                int         NOT NULL,
    number              text        NOT NULL,
    kind                smallint    NOT NULL CHECK (kind BETWEEN 1 AND 3),
    fields              text[]      NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),
    delivery_id         uuid        REFERENCES deliveries,
    reason              text        NOT NULL,
    actor               text        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    find_time           timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    UNIQUE (reconciliation_id, register_key),
    CHECK ((state = 2) = (delivery_id IS NOT NULL)),
    CHECK ((kind = 3) = (entry_id IS NULL))
);
CREATE INDEX register_differences_by_unit_and_time
    ON register_differences (responsible_unit_id, find_time DESC, difference_id DESC);
CREATE INDEX register_differences_by_time ON register_differences (find_time DESC, difference_id DESC);
-- Those that may be open, among many that were settled.
CREATE INDEX register_differences_open ON register_differences (find_time DESC, difference_id DESC) WHERE state IN (1, 2);
SELECT egov.allow_update('register_differences', 'state', 'delivery_id', 'reason', 'actor', 'version', 'update_time');
SELECT egov.protect('register_differences');

-- What the leaves of received changes, reconciliations and differences commit to, word for word: each version of each.
CREATE TABLE register_history (
    kind                text        NOT NULL,
    resource_id         uuid        NOT NULL,
    version             bigint      NOT NULL,
    responsible_unit_id int         NOT NULL,
    document            text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (kind, resource_id, version)
);
SELECT egov.protect('register_history');
SELECT egov.append_only('register_history');
