-- Tệp kho bạc: a file that was imported by mistake is taken back. What was taken back, by which files a day was reconciled last, and which
-- days are to be reconciled again.
--
-- Expand only: three new tables and a constraint less. Their rows are seen by the unit whose money it is, as the files are. The version
-- before goes on, but counts the lines of a file that was taken back, refuses its content as known, and does not say which files it used:
-- take nothing back before that version is gone. What was reconciled before is filled in by 0035, and what that version reconciles after it
-- by the job `onestop.version-before`. Back: drop the tables, delete files that were taken back and imported anew, and set the constraint as
-- 0025 has it.

CREATE TABLE treasury_files_taken_back (
    file_id             uuid        PRIMARY KEY REFERENCES treasury_files,
    responsible_unit_id int         NOT NULL,
    reason              text        NOT NULL,
    actor_id            uuid        NOT NULL,
    take_back_time      timestamptz NOT NULL
);
SELECT egov.protect('treasury_files_taken_back');
SELECT egov.append_only('treasury_files_taken_back');

-- The same content counts once for a unit and day, and may be imported anew after it was taken back. Imports of a day wait for one another.
ALTER TABLE treasury_files DROP CONSTRAINT treasury_files_content;

-- The last reconciliation of a unit's day.
CREATE TABLE reconciled_days (
    responsible_unit_id int         NOT NULL,
    day                 date        NOT NULL,
    reconciliation_id   uuid        NOT NULL UNIQUE,
    reconcile_time      timestamptz NOT NULL,
    again_since         timestamptz,                   -- since when it is to be done again: a file that it used was taken back
    PRIMARY KEY (responsible_unit_id, day)
);
SELECT egov.protect('reconciled_days');
SELECT egov.allow_update('reconciled_days', 'reconciliation_id', 'reconcile_time', 'again_since');

-- Which files a reconciliation used: those of its day, and those that name something of it.
CREATE TABLE reconciliation_files (
    reconciliation_id   uuid        NOT NULL,
    file_id             uuid        NOT NULL REFERENCES treasury_files,
    responsible_unit_id int         NOT NULL,
    PRIMARY KEY (reconciliation_id, file_id)
);
CREATE INDEX reconciliation_files_by_file ON reconciliation_files (file_id, reconciliation_id);
SELECT egov.protect('reconciliation_files');
SELECT egov.append_only('reconciliation_files');
