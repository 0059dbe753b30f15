-- Quyết định chờ vào sổ: what one-stop decided of its cases and this registry enters in its books.
--
-- Expand-only. Going back: drop the table; what was entered stays entered, and what waits is still listed by one-stop.
--
-- Who sees what: the commune that decided (`responsible_unit_id`).

-- `state`: 1 pending, 2 entered, 3 given back. A decision is kept once (its id is one-stop's), and a case has one that was not given back; the entry stands
-- in the row in the transaction that enters, so that a case is entered once however often it is told. `findings` is what stood in the way of the last
-- attempt, in words that name nobody. `tried`: the registry tried to enter it by itself, or never will. `paper_id` is the certificate, issued once.
-- `answered`: one-stop knows.
CREATE TABLE pending_decisions (
    decision_id          uuid        PRIMARY KEY,
    case_id              uuid        NOT NULL,
    case_code            text        NOT NULL,
    procedure_code       text        NOT NULL,
    responsible_unit_id  integer     NOT NULL,
    event                smallint    NOT NULL CHECK (event BETWEEN 1 AND 8),
    decision_date        date        NOT NULL,
    number               text        NOT NULL,
    signer_name          text        NOT NULL,
    signer_title         text        NOT NULL,
    signer_authorisation text        NOT NULL,
    performer_name       text        NOT NULL,
    state                smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),
    findings             text        NOT NULL DEFAULT '[]',
    tried                boolean     NOT NULL DEFAULT false,
    entry_id             uuid        UNIQUE REFERENCES entries,
    paper_id             uuid        REFERENCES papers,
    return_reason        text        NOT NULL DEFAULT '',
    answered             boolean     NOT NULL DEFAULT false,
    record_time          timestamptz NOT NULL,
    CONSTRAINT pending_decisions_entered CHECK ((state = 2) = (entry_id IS NOT NULL)),
    CONSTRAINT pending_decisions_given_back CHECK ((state = 3) = (return_reason <> ''))
);
CREATE UNIQUE INDEX pending_decisions_one_of_case ON pending_decisions (case_id) WHERE state <> 3;
CREATE INDEX pending_decisions_of_book ON pending_decisions (responsible_unit_id, event, decision_date) WHERE state = 1;
CREATE INDEX pending_decisions_listed ON pending_decisions (responsible_unit_id, decision_id) WHERE state = 1;
CREATE INDEX pending_decisions_untried ON pending_decisions (decision_id) WHERE state = 1 AND NOT tried;
CREATE INDEX pending_decisions_unanswered ON pending_decisions (decision_id) WHERE state <> 1 AND NOT answered;
SELECT egov.protect('pending_decisions');
SELECT egov.allow_update('pending_decisions', 'state', 'findings', 'tried', 'entry_id', 'paper_id', 'return_reason', 'answered');
