-- Search and lists at a million cases (tìm kiếm, danh sách hồ sơ): every way to ask has an index that gives its rows in the stated order.
--
-- Expand-only; the version before runs on this schema. Who may see rows does not change: indexes stand behind the policies that
-- the tables have. None of these columns changes with every act, so that acts still update rows in place, except cases_open.
-- Way back: drop the indexes; words that begin with '+' are found by nobody and may be deleted.

-- Words in the order of a list, for callers whose units are many. The policy's columns are part of it, so that a walk need not
-- look at the table.
CREATE INDEX case_tokens_by_time ON case_tokens (token, submit_time DESC, case_id DESC) INCLUDE (responsible_unit_id, owner_id);
-- The words of one case: whether it carries a further one, or one with this beginning.
CREATE INDEX case_tokens_of_case ON case_tokens (case_id, token) INCLUDE (responsible_unit_id, owner_id);
DROP INDEX case_tokens_by_case;

-- By code or its beginning, the highest first. COLLATE "C": only there a beginning is a range.
CREATE INDEX cases_by_code ON cases (case_code COLLATE "C" DESC);
CREATE INDEX cases_by_unit_and_code ON cases (responsible_unit_id, case_code COLLATE "C" DESC);

-- By due date, the earliest first.
CREATE INDEX cases_by_due ON cases (due_date, case_id) WHERE due_date IS NOT NULL;
CREATE INDEX cases_by_unit_and_due ON cases (responsible_unit_id, due_date, case_id) WHERE due_date IS NOT NULL;

-- The cases of procedures that are filed rarely, which a walk by time would meet too seldom, have `cases_by_procedure` (0009).

-- Cases that are not final, of all units: they are few and lie close together in time, so that a walk by time would go on to the
-- end of the table for the last page.
CREATE INDEX cases_open ON cases (state, submit_time DESC, case_id DESC) WHERE state IN (1, 2, 4, 5, 6, 9);

-- The planner decides by how frequent a value is; a hundred values are too few for words and procedures.
ALTER TABLE case_tokens ALTER COLUMN token SET STATISTICS 1000;
ALTER TABLE cases ALTER COLUMN procedure_code SET STATISTICS 1000;

-- Two words that are each in a large part of all names ("nguyen", "van") are stored as one further word, so that a search for both walks the
-- index of what has both. The list is `domain::search::FREQUENT`; a test compares the two.
SELECT set_config('egov.scope_all', 'on', true);
WITH frequent (word) AS (VALUES
    ('nguyen'), ('thi'), ('van'), ('tran'), ('le'), ('pham'), ('hoang'), ('ho'), ('phan'), ('vo'), ('dang'), ('bui'), ('cao'),
    ('dinh'), ('ngo'), ('duong'), ('vi'), ('lo'), ('luong'), ('thai'), ('trinh'), ('truong'), ('ha'), ('dau'), ('vu'), ('do'),
    ('ly'), ('huynh'), ('huu'), ('duc'), ('xuan'))
INSERT INTO case_tokens (responsible_unit_id, token, owner_id, case_id, submit_time)
SELECT a.responsible_unit_id, '+' || a.token || ' ' || b.token, a.owner_id, a.case_id, a.submit_time
FROM case_tokens AS a
JOIN case_tokens AS b ON b.case_id = a.case_id AND b.token > a.token
WHERE a.token IN (SELECT word FROM frequent) AND b.token IN (SELECT word FROM frequent)
ON CONFLICT DO NOTHING;
SELECT set_config('egov.scope_all', 'off', true);
