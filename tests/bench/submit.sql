-- Frozen: what SubmitCase writes, as one statement of a superuser, who is bound by no row-level security.
--
-- The same rows in the same tables with the same constraints and indexes, in a database of its own that no service touches:
-- the counter of one of 130 agencies, a case, three components, five words, the history, the outbox, a leaf and its salt, the
-- request id with its sealed answer. The texts are as long as those that ours writes for a request of 1,024 bytes.
\set agency random(1, 130)
WITH numbered AS (
    INSERT INTO egov.counters AS c (agency, register, period, last_number, epoch)
    VALUES ('BENCH.' || (:agency)::int, 'case', current_date::text, 1, 1)
    ON CONFLICT (agency, register, period) DO UPDATE SET last_number = c.last_number + 1
    RETURNING agency, last_number
), new AS MATERIALIZED (
    SELECT gen_random_uuid() AS case_id, gen_random_uuid() AS leaf_id,
           agency || '-' || to_char(current_date, 'YYMMDD') || '-' || lpad(last_number::text, 7, '0') AS case_code
    FROM numbered
), filed AS (
    INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, step, channel,
                       responsible_unit_id, receiving_unit_id, owner, subject, conditions, submit_time, fees, lookup_secret,
                       version, create_time, update_time)
    SELECT case_id, case_code, true, '1.001193', 1, 1, '', 2, (:agency)::int, (:agency)::int,
           jsonb_build_object('kind', 'citizen', 'full_name', 'Nguyễn Thị Hường', 'personal_number', '040190001234',
                              'phone', '0912345678', 'email', 'huong@example.vn',
                              'address', 'Số 1, đường Lê Mao, phường Trường Vinh, tỉnh Nghệ An', 'organisation_number', ''),
           'Đăng ký khai sinh cho con' || repeat(' ', 200) || repeat('x', 480), '{}', now(), '[]', sha256('secret'), 1, now(), now()
    FROM new
), components AS (
    INSERT INTO case_components (case_id, round, position, component_code, originals, copies, replaced_by_data, file_ids)
    SELECT case_id, 0, c.position, c.code, 1, 0, '', '{}'
    FROM new, (VALUES (0, 'to_khai'), (1, 'giay_chung_sinh'), (2, 'giay_to_tuy_than')) AS c (position, code)
), words AS (
    INSERT INTO case_tokens (responsible_unit_id, token, case_id, submit_time)
    SELECT (:agency)::int, token, case_id, now()
    FROM new, unnest('{nguyen,thi,huong,040190001234,0912345678}'::text[]) AS token
), recorded AS (
    INSERT INTO case_history (case_id, version, operation, to_state, step, actor_id, actor_kind, reason, legal_basis, details,
                              event_time, record_time)
    SELECT case_id, 1, 'submit', 1, '', '00be0000-0000-0000-0000-000000000001', 'staff', '', '',
           '{"channel": "counter", "components": 3}', now(), now()
    FROM new
), told AS (
    INSERT INTO egov.outbox (event_id, aggregate_kind, aggregate_id, version, kind, payload, create_time)
    SELECT gen_random_uuid(), 'case', case_id, 1, 'case_submitted',
           jsonb_build_object('case_code', case_code, 'procedure_code', '1.001193', 'state', 1, 'step', '',
                              'responsible_unit_id', (:agency)::int), now()
    FROM new
), leaf AS (
    INSERT INTO egov.leaves (leaf_id, epoch, kind, resource_id, version, commitment, create_time)
    SELECT leaf_id, 1, 'case', case_id, 1, sha256(uuid_send(case_id)), now() FROM new
), salt AS (
    INSERT INTO egov.leaf_salts (leaf_id, salt)
    SELECT leaf_id, sha256(uuid_send(leaf_id)) FROM new
)
INSERT INTO egov.request_ids (caller, method, request_id, day, request_hash, resource_kind, resource_id, resource_version,
                              answer, create_time)
SELECT 'staff:00be0000-0000-0000-0000-000000000001', 'egov.onestop.v1.CaseService/SubmitCase', gen_random_uuid(),
       (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, sha256(uuid_send(case_id)), 'case', case_id, 1,
       decode(repeat(md5(case_id::text), 80), 'hex'), now()
FROM new;
