-- Hồ sơ liên thông: applications whose reaction failed are set aside; what is to be decided is found across units; in whose name an act was
-- done.
--
-- Expand only: the version before stops at an application that fails, as it did, writes acts without in whose name they were done, and
-- knows neither table nor index. Way back: drop the table, the index and the column.

-- Applications whose reaction met a fault of their own: the log goes on without them, and they are tried again after pauses that
-- grow. Rows are the coordinator's alone: no caller sees them.
CREATE TABLE linked_case_retries (
    linked_case_id uuid        PRIMARY KEY REFERENCES linked_cases,
    attempts       int         NOT NULL CHECK (attempts >= 1),
    reason         text        NOT NULL,        -- of the last fault, as ErrorInfo names it
    first_time     timestamptz NOT NULL,
    due_time       timestamptz NOT NULL         -- not to be tried before
);
ALTER TABLE linked_case_retries ENABLE ROW LEVEL SECURITY;
ALTER TABLE linked_case_retries FORCE ROW LEVEL SECURITY;
CREATE INDEX linked_case_retries_due ON linked_case_retries (due_time);
CREATE POLICY of_the_coordinator ON linked_case_retries USING ((SELECT egov.scope_all()));
SELECT egov.allow_update('linked_case_retries', 'attempts', 'reason', 'due_time');
SELECT egov.allow_delete('linked_case_retries');

-- Who sees all units finds what is to be decided by time, however much of it is of one unit.
CREATE INDEX linked_case_units_to_decide_by_time ON linked_case_units (submit_time DESC, linked_case_id DESC) WHERE to_decide;

-- The citizen for whom a system acted, or the account that had delegated its role (thừa uỷ quyền), as in case_history.
ALTER TABLE linked_case_history ADD COLUMN on_behalf_of uuid;
