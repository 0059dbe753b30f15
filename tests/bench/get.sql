-- Frozen: the least that reading one case with its record costs in SQL.
--
-- A read in the scope of one of 130 communes, by the role of the service and under row-level security; and a record of reading, written
-- together with fifteen others, as the service writes them under 16 callers. The ids of the cases are known by their number.
\set agency random(0, 129)
\set place random(0, :cases - 1)
\set unit :first_unit + :agency
\set reads :reads + 1
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT set_config('egov.scope_units', '{' || (:unit)::int || '}', true), set_config('egov.scope_all', 'off', true),
       set_config('egov.scope_owner', '', true), set_config('egov.scope_assignee', '', true);
SELECT c.*, (SELECT p.name FROM procedures p WHERE p.procedure_code = c.procedure_code AND p.version = c.procedure_version),
       (SELECT jsonb_agg(f.* ORDER BY f.round, f.position) FROM case_components f WHERE f.case_id = c.case_id),
       (SELECT jsonb_agg(s.* ORDER BY s.number) FROM case_pauses s WHERE s.case_id = c.case_id)
FROM cases c
WHERE c.case_id = ('be000000-0000-4000-8000-' || lpad(to_hex((:agency)::int * 1000 + (:place)::int), 12, '0'))::uuid
  AND c.responsible_unit_id = (:unit)::int;
COMMIT;
\if :reads % 16 = 0
INSERT INTO egov.read_records (reader, kind, purpose, method, subjects, resources, read_time)
SELECT 'staff:00be0000-0000-0000-0000-000000000001', 'staff', 'case_handling', 'egov.onestop.v1.CaseService/GetCase',
       ARRAY[gen_random_uuid()], ARRAY[gen_random_uuid()::text], now()
FROM generate_series(1, 16);
\endif
