-- Cases follow their unit through a reorganisation (sắp xếp đơn vị hành chính).
--
-- Expand-only: the version before runs on this schema and simply lets cases stay where they are. Way back: none needed.

-- The words by which a case is found carry its unit; they move with it.
SELECT egov.allow_update('case_tokens', 'responsible_unit_id');

-- There is no index for open cases of a unit: one that knows the state would make every act on every case write to every
-- index of the table. The job that follows walks cases_by_unit_and_time of a closed unit once instead.
