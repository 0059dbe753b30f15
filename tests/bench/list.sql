-- Frozen: the least that a page of 50 cases of one commune with its record costs in SQL.
--
-- A read in the scope of one of 130 communes, by the role of the service and under row-level security; and a record of reading with 50 subjects,
-- written together with fifteen others, as the service writes them under 16 callers.
\set agency random(0, 129)
\set unit :first_unit + :agency
\set reads :reads + 1
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT set_config('egov.scope_units', '{' || (:unit)::int || '}', true), set_config('egov.scope_all', 'off', true),
       set_config('egov.scope_owner', '', true), set_config('egov.scope_assignee', '', true);
SELECT case_id, case_code, procedure_code, state, step, owner ->> 'full_name', owner_id, responsible_unit_id, submit_time, due_date
FROM cases
WHERE responsible_unit_id = (:unit)::int
ORDER BY submit_time DESC, case_id DESC
LIMIT 51;
COMMIT;
\if :reads % 16 = 0
INSERT INTO egov.read_records (reader, kind, purpose, method, subjects, resources, read_time)
SELECT 'staff:00be0000-0000-0000-0000-000000000001', 'staff', 'case_handling', 'egov.onestop.v1.CaseService/ListCases',
       (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 50 + 0 * record)),
       (SELECT array_agg(gen_random_uuid()::text) FROM generate_series(1, 50 + 0 * record)), now()
FROM generate_series(1, 16) AS record;
\endif
