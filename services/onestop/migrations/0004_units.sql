-- Cases follow their unit through a reorganisation (sắp xếp đơn vị hành chính).
--
-- Expand-only: the version before runs on this schema and simply lets cases stay where they are. Way back: none needed.

-- The words by which a case is found carry its unit; they move with it.
SELECT egov.allow_update('case_tokens', 'responsible_unit_id');

-- Open cases of a unit: the job that follows asks every few seconds for those of units that closed, and finds none by a
-- look into this index, however many finished cases a unit has. 3, 7, 8 and 10 are the final states of the national codes.
CREATE INDEX cases_open_by_unit ON cases (responsible_unit_id, case_id) WHERE state NOT IN (3, 7, 8, 10);
