-- Chuyển phiên bản: running cases go over to another version of their procedure, a batch a transaction, with the place that was
-- reached, so that a process that was killed leaves nothing but work for the next one.
--
-- Expand-only: the version before knows neither table and lets cases keep their version. Back: drop both tables and the index.

-- Cases of a procedure, the newest first: for simulations and migrations. None of its columns ever changes, so that acts on cases
-- do not write to it.
CREATE INDEX cases_by_procedure ON cases (procedure_code, submit_time DESC, case_id DESC);

-- Seen by the controllers of procedures, whose unit is the province.
CREATE TABLE procedure_migrations (
    migration_id        uuid        PRIMARY KEY,
    procedure_code      text        NOT NULL,
    from_version        int         NOT NULL,
    to_version          int         NOT NULL,
    steps               jsonb       NOT NULL,   -- codes of steps: old → new
    reason              text        NOT NULL,
    legal_basis         text        NOT NULL,
    actor_id            uuid        NOT NULL,
    on_behalf_of        uuid,
    state               text        NOT NULL CHECK (state IN ('running', 'finished')),
    -- Behind this case, the newest first, nothing was looked at yet; none at the beginning.
    reached_time        timestamptz,
    reached_case_id     uuid,
    moved               bigint      NOT NULL,
    kept                bigint      NOT NULL,
    responsible_unit_id int         NOT NULL,
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    FOREIGN KEY (procedure_code, from_version) REFERENCES procedures (procedure_code, version),
    FOREIGN KEY (procedure_code, to_version) REFERENCES procedures (procedure_code, version),
    CHECK (from_version <> to_version)
);
CREATE UNIQUE INDEX procedure_migrations_running ON procedure_migrations (procedure_code, from_version) WHERE state = 'running';
SELECT egov.protect('procedure_migrations');
SELECT egov.allow_update('procedure_migrations', 'state', 'reached_time', 'reached_case_id', 'moved', 'kept', 'update_time');

-- What became of each case: ids and kinds of hindrance, nothing of a person.
CREATE TABLE procedure_migration_cases (
    migration_id uuid        NOT NULL REFERENCES procedure_migrations,
    case_id      uuid        NOT NULL REFERENCES cases,
    moved        boolean     NOT NULL,
    hindrances   text[]      NOT NULL,
    record_time  timestamptz NOT NULL,
    PRIMARY KEY (migration_id, case_id)
);
SELECT egov.append_only('procedure_migration_cases');
ALTER TABLE procedure_migration_cases ENABLE ROW LEVEL SECURITY;
ALTER TABLE procedure_migration_cases FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_migration ON procedure_migration_cases USING (
    EXISTS (SELECT 1 FROM procedure_migrations WHERE procedure_migrations.migration_id = procedure_migration_cases.migration_id)
);
