-- Thống kê hộ tịch: what entries count for.
--
-- Expand-only. Going back: drop the table; it follows from the entries.

-- One row for each entry that is counted, written with it: nobody waits for anybody, as communes would at a common sum. A year of the province is
-- some hundred thousand narrow rows, found by the index and never read from the entries. A correction takes away (-1) and adds (1) by further
-- rows, so that figures as known on a day stay what they were. The role of the service adds and reads only. The rows say nothing that the entries
-- do not: CheckVitalStatistics works them out again and compares.
CREATE TABLE vital_counts (
    entry_id            uuid        NOT NULL REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    change              integer     NOT NULL CHECK (change > 0),
    responsible_unit_id integer     NOT NULL,
    event               smallint    NOT NULL CHECK (event BETWEEN 1 AND 8),
    year                smallint    NOT NULL,
    month               smallint    NOT NULL CHECK (month BETWEEN 1 AND 12),
    -- 0 where the event is not of one person, as a marriage.
    sex                 smallint    NOT NULL CHECK (sex BETWEEN 0 AND 3),
    -- Empty where it is not known, and where the event is not of one person.
    ethnic_group        text        NOT NULL,
    registration_kind   smallint    NOT NULL CHECK (registration_kind BETWEEN 1 AND 4),
    amount              smallint    NOT NULL CHECK (amount IN (-1, 1)),
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (entry_id, change)
);
CREATE INDEX vital_counts_by_unit ON vital_counts (responsible_unit_id, year, month)
    INCLUDE (event, sex, ethnic_group, registration_kind, amount, record_time);
SELECT egov.protect('vital_counts');

-- Counts the entries of before this migration; whatever is entered later has its rows from the start.
INSERT INTO vital_counts (entry_id, change, responsible_unit_id, event, year, month, sex, ethnic_group, registration_kind, amount, record_time)
SELECT e.entry_id, 1, e.responsible_unit_id, e.event, e.year, extract(month FROM e.registration_date)::smallint,
       CASE WHEN e.event = 2 THEN 0 ELSE p.sex END, CASE WHEN e.event = 2 THEN '' ELSE p.ethnic_group END,
       e.registration_kind, 1, e.record_time
FROM entries e
LEFT JOIN person_particulars p ON p.entry_id = e.entry_id AND p.person_id = e.subject_id
WHERE e.event IN (1, 2, 3);
