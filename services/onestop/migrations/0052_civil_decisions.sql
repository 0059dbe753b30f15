-- Quyết định hộ tịch: what was decided of a case and goes into a book of civil status before the case is completed.
--
-- Expand-only: a new table. The version before knows no such decision; where it runs beside this one it approves a case at once, as ever. Who sees the
-- case's unit sees its decisions. Back: drop the table, once none of its rows waits (state 1): such a case stands at the step "cho_vao_so", which the
-- version before does not know, and is to be sent back first.

CREATE TABLE civil_decisions (
    decision_id          uuid        PRIMARY KEY,
    case_id              uuid        NOT NULL REFERENCES cases,
    case_code            text        NOT NULL,
    procedure_code       text        NOT NULL,
    responsible_unit_id  integer     NOT NULL,
    decision_date        date        NOT NULL,
    number               text        NOT NULL,
    signer_name          text        NOT NULL,
    signer_title         text        NOT NULL,
    signer_authorisation text        NOT NULL,
    performer_name       text        NOT NULL,
    state                smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),   -- waiting, entered, given back
    step_before          text        NOT NULL,
    outcome_before       text        NOT NULL,
    entry_id             uuid,
    decider_id           uuid        NOT NULL,
    record_time          timestamptz NOT NULL,
    close_time           timestamptz,
    CONSTRAINT civil_decisions_entered CHECK ((state = 2) = (entry_id IS NOT NULL)),
    CONSTRAINT civil_decisions_closed CHECK ((state = 1) = (close_time IS NULL))
);
-- A case is decided once: again only after its decision came back.
CREATE UNIQUE INDEX civil_decisions_one_of_case ON civil_decisions (case_id) WHERE state <> 3;
CREATE INDEX civil_decisions_waiting ON civil_decisions (decision_id) WHERE state = 1;
SELECT egov.protect('civil_decisions');
SELECT egov.allow_update('civil_decisions', 'state', 'entry_id', 'close_time');
