-- Dịch vụ công liên thông: applications whose members are ordinary cases.
--
-- Expand only: new tables, and one more policy by which a file that was handed over is seen. The version before knows nothing of them; cases
-- that it handles go on, and what follows from them for the others is done when the new version is there again, since the log is followed
-- from a kept place. Way back: drop the policy and the tables; the cases stay.

-- Which units see an application: those that have a case of it, and the one that received it. Written before the application itself, whose
-- policy looks here.
CREATE TABLE linked_case_units (
    responsible_unit_id int         NOT NULL,
    linked_case_id      uuid        NOT NULL,
    owner_id            uuid,
    submit_time         timestamptz NOT NULL,
    to_decide           boolean     NOT NULL,       -- an officer of this unit must decide something
    PRIMARY KEY (responsible_unit_id, linked_case_id)
);
CREATE INDEX linked_case_units_by_time ON linked_case_units (responsible_unit_id, submit_time DESC, linked_case_id DESC);
CREATE INDEX linked_case_units_to_decide ON linked_case_units (responsible_unit_id, submit_time DESC, linked_case_id DESC) WHERE to_decide;
CREATE INDEX linked_case_units_of ON linked_case_units (linked_case_id, responsible_unit_id);
SELECT egov.protect('linked_case_units');
SELECT egov.allow_update('linked_case_units', 'to_decide');

-- The document is what the ledger commits to: codes, units, states and dates, nothing personal. The definition is the linked service as it
-- was when the application was filed, which it keeps.
CREATE TABLE linked_cases (
    linked_case_id uuid        PRIMARY KEY,
    code           text        NOT NULL UNIQUE,
    service_code   text        NOT NULL,
    state          smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),     -- running, finished, partly finished, ended
    national       boolean     NOT NULL,       -- the national system coordinates it; we mirror
    owner_id       uuid,
    submit_time    timestamptz NOT NULL,
    definition     jsonb       NOT NULL,
    document       jsonb       NOT NULL,
    version        bigint      NOT NULL CHECK (version >= 1),
    update_time    timestamptz NOT NULL
);
CREATE INDEX linked_cases_by_owner ON linked_cases (owner_id, submit_time DESC, linked_case_id DESC) WHERE owner_id IS NOT NULL;
CREATE INDEX linked_cases_by_time ON linked_cases (submit_time DESC, linked_case_id DESC);
ALTER TABLE linked_cases ENABLE ROW LEVEL SECURITY;
ALTER TABLE linked_cases FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON linked_cases USING (
    owner_id = (SELECT egov.scope_owner())
    OR (SELECT egov.scope_all())
    OR EXISTS (SELECT 1 FROM linked_case_units AS seen_by
               WHERE seen_by.linked_case_id = linked_cases.linked_case_id
                 AND seen_by.responsible_unit_id = ANY ((SELECT egov.scope())::int[]))
);
SELECT egov.allow_update('linked_cases', 'state', 'document', 'version', 'update_time');

-- Which case belongs to which application.
CREATE TABLE linked_case_members (
    linked_case_id uuid NOT NULL REFERENCES linked_cases,
    member_code    text NOT NULL,
    case_id        uuid REFERENCES cases,
    PRIMARY KEY (linked_case_id, member_code)
);
CREATE UNIQUE INDEX linked_case_members_by_case ON linked_case_members (case_id) WHERE case_id IS NOT NULL;
SELECT egov.allow_update('linked_case_members', 'case_id');

-- What was filed for members that wait: personal data, gone as soon as the case is filed or will not be.
CREATE TABLE linked_case_submissions (
    linked_case_id      uuid  NOT NULL,
    member_code         text  NOT NULL,
    responsible_unit_id int   NOT NULL,
    owner_id            uuid,
    uploader_id         uuid  NOT NULL,
    content             jsonb NOT NULL,
    PRIMARY KEY (linked_case_id, member_code)
);
SELECT egov.protect('linked_case_submissions');
SELECT egov.allow_delete('linked_case_submissions');

-- What was done with an application: a row a version, with the bytes to which the ledger commits.
CREATE TABLE linked_case_history (
    linked_case_id uuid        NOT NULL REFERENCES linked_cases,
    version        bigint      NOT NULL,
    operation      text        NOT NULL,       -- submit | advance | withdraw | decide | mirror
    actor_id       uuid        NOT NULL,
    actor_kind     text        NOT NULL,
    reason         text        NOT NULL,
    content        text        NOT NULL,       -- JSON, word for word
    record_time    timestamptz NOT NULL,
    PRIMARY KEY (linked_case_id, version)
);
SELECT egov.append_only('linked_case_history');

-- Members and history are seen by whoever sees the application.
DO $$
DECLARE
    belonging regclass;
BEGIN
    FOREACH belonging IN ARRAY ARRAY['linked_case_members', 'linked_case_history']::regclass[]
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', belonging);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', belonging);
        EXECUTE format('CREATE POLICY of_the_linked_case ON %s USING (EXISTS (SELECT 1 FROM linked_cases WHERE linked_cases.linked_case_id = %s.linked_case_id))', belonging, belonging);
    END LOOP;
END $$;

-- A file of one case that was handed to another as its component: shared components and results. Whoever sees the case that took it over
-- reads the file, and nothing else of the case that it comes from.
CREATE TABLE linked_case_files (
    case_id uuid NOT NULL REFERENCES cases,
    file_id uuid NOT NULL REFERENCES files,
    PRIMARY KEY (case_id, file_id)
);
CREATE INDEX linked_case_files_by_file ON linked_case_files (file_id, case_id);
ALTER TABLE linked_case_files ENABLE ROW LEVEL SECURITY;
ALTER TABLE linked_case_files FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_case ON linked_case_files USING (EXISTS (SELECT 1 FROM cases WHERE cases.case_id = linked_case_files.case_id));
SELECT egov.append_only('linked_case_files');
CREATE POLICY handed_over ON files FOR SELECT
    USING (EXISTS (SELECT 1 FROM linked_case_files AS handed WHERE handed.file_id = files.file_id));
