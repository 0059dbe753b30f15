-- Đồng bộ, đối soát với Cổng dịch vụ công quốc gia: what the portal knows of each case, reconciliations, and the differences they found.
--
-- Why: issued, delivered and synchronised are three facts, and somebody has to see each; what the portal has is compared with what
-- one-stop has, and repaired. Every row belongs to the unit whose case it is and is behind row-level security by it; there is no
-- personal data in it: codes, states, times, names of fields. Expand only: an instance of before goes on delivering without these rows, and a
-- case that it tells appears with its next version. To go back: drop the tables of this file.

-- One row a case that was ever handed in for the portal, and unit for which it was; written with the delivery, and again when it is
-- acknowledged. Of a case that went to another unit the former unit's row stays as it was.
CREATE TABLE portal_synchronisations (
    responsible_unit_id int         NOT NULL,
    case_code           text        NOT NULL,
    -- One-stop's id of the case; nil if whoever handed it in did not say it.
    case_id             uuid        NOT NULL,
    told_version        bigint      NOT NULL CHECK (told_version >= 0),
    told_state          smallint    NOT NULL CHECK (told_state BETWEEN 0 AND 10),
    told_time           timestamptz NOT NULL,
    acknowledged_version bigint     CHECK (acknowledged_version >= 0),
    acknowledged_state  smallint    CHECK (acknowledged_state BETWEEN 0 AND 10),
    acknowledged_time   timestamptz,
    -- When this service learned that there is a result; when the result was handed over.
    issue_learn_time    timestamptz,
    return_time         timestamptz,
    PRIMARY KEY (case_code, responsible_unit_id)
);
CREATE INDEX portal_synchronisations_by_unit_and_time
    ON portal_synchronisations (responsible_unit_id, told_time DESC, case_code DESC);
CREATE INDEX portal_synchronisations_waiting
    ON portal_synchronisations (responsible_unit_id, told_time DESC, case_code DESC)
    WHERE acknowledged_version IS DISTINCT FROM told_version;
SELECT egov.allow_update('portal_synchronisations', 'case_id', 'told_version', 'told_state', 'told_time',
                         'acknowledged_version', 'acknowledged_state', 'acknowledged_time', 'issue_learn_time', 'return_time');
SELECT egov.protect('portal_synchronisations');

-- A reconciliation. State 1 queued, 2 done, 3 failed. The daily one of a unit and day is there once (`daily`).
CREATE TABLE portal_reconciliations (
    reconciliation_id   uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    from_date           date        NOT NULL,
    to_date             date        NOT NULL CHECK (to_date >= from_date),
    repair              boolean     NOT NULL,
    daily               boolean     NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),
    compared            int         NOT NULL CHECK (compared >= 0),
    equal               int         NOT NULL CHECK (equal >= 0),
    waiting             int         NOT NULL CHECK (waiting >= 0),
    differing           int         NOT NULL CHECK (differing >= 0),
    not_comparable      int         NOT NULL CHECK (not_comparable >= 0),
    looked_for_unknown  boolean     NOT NULL,
    attempts            int         NOT NULL CHECK (attempts >= 0),
    problem             text        NOT NULL,
    due_time            timestamptz NOT NULL,
    actor               text        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    end_time            timestamptz
);
CREATE UNIQUE INDEX portal_reconciliations_daily ON portal_reconciliations (responsible_unit_id, to_date) WHERE daily;
CREATE INDEX portal_reconciliations_due ON portal_reconciliations (due_time, reconciliation_id) WHERE state = 1;
SELECT egov.allow_update('portal_reconciliations', 'state', 'compared', 'equal', 'waiting', 'differing', 'not_comparable',
                         'looked_for_unknown', 'attempts', 'problem', 'due_time', 'version', 'end_time');
SELECT egov.protect('portal_reconciliations');

-- A difference. Kind 1 missing there, 2 state, 3 date, 4 content, 5 unknown here. State 1 open, 2 handed in again (repaired when that
-- delivery is acknowledged), 3 settled by hand. `ours` and `theirs` hold a state or a date, nothing else.
CREATE TABLE portal_differences (
    difference_id       uuid        PRIMARY KEY,
    reconciliation_id   uuid        NOT NULL REFERENCES portal_reconciliations,
    responsible_unit_id int         NOT NULL,
    case_code           text        NOT NULL,
    -- One-stop's id of the case; none if one-stop does not know it.
    case_id             uuid,
    kind                smallint    NOT NULL CHECK (kind BETWEEN 1 AND 5),
    fields              text[]      NOT NULL,
    ours                text        NOT NULL,
    theirs              text        NOT NULL,
    -- Whether handing the case in again can mend it.
    mendable            boolean     NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),
    delivery_id         uuid        REFERENCES deliveries,
    reason              text        NOT NULL,
    actor               text        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    find_time           timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    UNIQUE (reconciliation_id, case_code),
    CHECK ((state = 2) = (delivery_id IS NOT NULL))
);
CREATE INDEX portal_differences_by_unit_and_time
    ON portal_differences (responsible_unit_id, find_time DESC, difference_id DESC);
SELECT egov.allow_update('portal_differences', 'state', 'delivery_id', 'reason', 'actor', 'version', 'update_time');
SELECT egov.protect('portal_differences');

CREATE TABLE portal_difference_history (
    difference_id       uuid        NOT NULL REFERENCES portal_differences,
    version             bigint      NOT NULL,
    responsible_unit_id int         NOT NULL,
    state               smallint    NOT NULL,
    delivery_id         uuid,
    reason              text        NOT NULL,
    actor               text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (difference_id, version)
);
SELECT egov.protect('portal_difference_history');
SELECT egov.append_only('portal_difference_history');
