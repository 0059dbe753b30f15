-- Thời hạn: extensions, what is due next, what moved, what was told, and by which calendar it was counted.
--
-- Expand only: the version before reads and writes cases as it did and does not know these tables; what it changes meanwhile is
-- found again as soon as the new version touches the case, or by its job (a row without a calendar's version counts as
-- out of date). Way back: drop the five tables.

-- Lịch làm việc, word for word, by which due dates were worked out: a date that was promised can be worked out again years later,
-- whatever notice has come since. Public by law.
CREATE TABLE calendars (
    version    text        PRIMARY KEY,        -- egov_calendar::WorkCalendar::version
    files      jsonb       NOT NULL,           -- name to text, as imported
    first_time timestamptz NOT NULL
);
SELECT egov.append_only('calendars');

-- What is due next: a row for each open case whose period has begun. It repeats what the lists and jobs of due dates need, so that
-- they walk small indexes of open cases, and acts on a case go on writing to no index of `cases`.
-- Seen by whoever sees the case by unit, as owner or as assignee.
CREATE TABLE case_deadlines (
    case_id              uuid        PRIMARY KEY REFERENCES cases,
    case_code            text        NOT NULL,
    procedure_code       text        NOT NULL,
    procedure_version    int         NOT NULL,
    state                smallint    NOT NULL CHECK (state IN (2, 4, 5, 6)),
    recorded_step        text        NOT NULL,
    current_step         text        NOT NULL,  -- the next one to be done; empty where the procedure names none
    responsible_unit_id  int         NOT NULL,
    owner_id             uuid,
    assignee_id          uuid,
    due_time             timestamptz NOT NULL,
    step_since           timestamptz NOT NULL,  -- since when it stands at that step
    step_end             timestamptz,           -- when that step is to end by its own time
    latest_step_end      timestamptz NOT NULL,  -- when it must have ended for all that follows to fit
    at_risk_from         timestamptz,           -- from then on the case will be late as things stand; none while the clock stands still
    notice_kind          smallint    NOT NULL CHECK (notice_kind BETWEEN 1 AND 2),  -- 1 due soon, 2 overdue
    notice_time          timestamptz,           -- when the next notice is to be given; none if there is none
    calendar_version     text        NOT NULL   -- what it was looked at with last; empty: never
);
CREATE INDEX case_deadlines_by_unit_and_due ON case_deadlines (responsible_unit_id, due_time, case_id) INCLUDE (at_risk_from);
CREATE INDEX case_deadlines_by_due ON case_deadlines (due_time, case_id) INCLUDE (at_risk_from);
CREATE INDEX case_deadlines_by_place ON case_deadlines (responsible_unit_id, procedure_code, current_step);
CREATE INDEX case_deadlines_by_calendar ON case_deadlines (calendar_version, case_id);
CREATE INDEX case_deadlines_by_notice ON case_deadlines (notice_time, case_id) WHERE notice_time IS NOT NULL;
SELECT egov.protect('case_deadlines');
SELECT egov.allow_update('case_deadlines');
SELECT egov.allow_delete('case_deadlines');

-- Gia hạn: at most one a case, by its key.
CREATE TABLE case_extensions (
    case_id      uuid        PRIMARY KEY REFERENCES cases,
    old_due_time timestamptz NOT NULL,
    new_due_date date        NOT NULL,
    working_days int         NOT NULL CHECK (working_days >= 1),
    reason       text        NOT NULL,
    legal_basis  text        NOT NULL,
    signer_name  text        NOT NULL,
    signer_title text        NOT NULL,
    agency_name  text        NOT NULL,          -- as the apology named it
    after_latest boolean     NOT NULL,
    extend_time  timestamptz NOT NULL
);
SELECT egov.append_only('case_extensions');

-- Due dates that moved; the unit is that of the day.
CREATE TABLE case_deadline_changes (
    case_id             uuid        NOT NULL REFERENCES cases,
    version             bigint      NOT NULL,
    cause               smallint    NOT NULL CHECK (cause BETWEEN 1 AND 4),  -- 1 resumed, 2 extended, 3 calendar, 4 version
    old_due_time        timestamptz NOT NULL,
    new_due_time        timestamptz NOT NULL,
    old_calendar        text        NOT NULL,
    new_calendar        text        NOT NULL,
    responsible_unit_id int         NOT NULL,
    change_time         timestamptz NOT NULL,
    case_code           text        NOT NULL,
    owner_id            uuid,                   -- the citizen's account: who is told who looked
    PRIMARY KEY (case_id, version)
);
CREATE INDEX case_deadline_changes_by_unit ON case_deadline_changes (responsible_unit_id, change_time DESC, case_id DESC, version DESC);
CREATE INDEX case_deadline_changes_by_time ON case_deadline_changes (change_time DESC, case_id DESC, version DESC);
SELECT egov.append_only('case_deadline_changes');

-- Notices that were given about a due date: the key lets each be given once.
CREATE TABLE case_deadline_notices (
    case_id     uuid        NOT NULL REFERENCES cases,
    due_time    timestamptz NOT NULL,
    kind        smallint    NOT NULL CHECK (kind BETWEEN 1 AND 2),
    notice_time timestamptz NOT NULL,
    PRIMARY KEY (case_id, due_time, kind)
);
SELECT egov.append_only('case_deadline_notices');

-- What belongs to a case is seen by whoever sees the case.
DO $$
DECLARE
    belonging regclass;
BEGIN
    FOREACH belonging IN ARRAY ARRAY['case_extensions', 'case_deadline_notices']::regclass[]
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', belonging);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', belonging);
        EXECUTE format('CREATE POLICY of_the_case ON %s USING (EXISTS (SELECT 1 FROM cases WHERE cases.case_id = %s.case_id))', belonging, belonging);
    END LOOP;
END $$;

-- So is a change, and by the unit whose case it was on that day: its lists are by that unit, and must not look at cases row by row.
ALTER TABLE case_deadline_changes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_unit_then_of_the_case ON case_deadline_changes USING (
    (SELECT egov.scope_all()) OR responsible_unit_id = ANY((SELECT egov.scope())::int[])
    OR EXISTS (SELECT 1 FROM cases WHERE cases.case_id = case_deadline_changes.case_id));

-- The open cases that there are. Forced row-level security binds the owner of the table too; the scope is that of this transaction.
SELECT set_config('egov.scope_all', 'on', true);
INSERT INTO case_deadlines (case_id, case_code, procedure_code, procedure_version, state, recorded_step, current_step,
                            responsible_unit_id, owner_id, assignee_id, due_time, step_since, step_end, latest_step_end,
                            at_risk_from, notice_kind, notice_time, calendar_version)
SELECT case_id, case_code, procedure_code, procedure_version, state, step, '', responsible_unit_id, owner_id, assignee_id, due_time,
       coalesce((SELECT max(record_time) FROM case_history AS h
                 WHERE h.case_id = cases.case_id AND operation IN ('accept', 'record_step')), accept_time),
       NULL, due_time, CASE WHEN state IN (2, 4) THEN due_time END, 1, NULL, ''
FROM cases
WHERE state IN (2, 4, 5, 6) AND accept_time IS NOT NULL AND due_time IS NOT NULL;
SELECT set_config('egov.scope_all', 'off', true);
