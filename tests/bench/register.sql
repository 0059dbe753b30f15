-- Frozen: what RegisterBirth writes, as one statement of a superuser, who is bound by no row-level security and looks for no duplicate.
--
-- The same rows in the same tables with the same constraints and indexes, in a database of its own that no service touches: the counter of the book of
-- births of one of 130 communes (whose ids follow one another from the variable `first` on), three persons, what is told of each, two relations, the words of the
-- names, the words by which a repetition is found, the entry, what it counts for, the request for the number of the child with its history and leaf,
-- the outbox, the leaf of the entry, their salts, the request id with its sealed answer. The texts are as long as those that ours writes for a request
-- of 1,024 bytes. Given names are drawn from two hundred, as words of names repeat. A colon in a text would be a variable to pgbench: hence `chr(58)`.
\set agency random(0, 129)
\set child random(1, 200)
\set mother random(1, 200)
\set father random(1, 200)
\set days random(1, 50)
WITH numbered AS (
    INSERT INTO egov.counters AS c (agency, register, period, last_number, epoch)
    VALUES ((:first::int + :agency::int)::text, 'civil.birth', extract(year FROM now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::int::text, 1, 1)
    ON CONFLICT (agency, register, period) DO UPDATE SET last_number = c.last_number + 1
    RETURNING agency::int AS unit_id, period::smallint AS year, last_number::int AS number
), new AS MATERIALIZED (
    SELECT n.unit_id, n.year, n.number, b.book_id, gen_random_uuid() AS entry_id, gen_random_uuid() AS child_id, gen_random_uuid() AS mother_id,
           gen_random_uuid() AS father_id, gen_random_uuid() AS leaf_id, gen_random_uuid() AS number_leaf_id,
           (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date AS today, (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date - :days::int AS born
    FROM numbered n
    JOIN books b ON b.responsible_unit_id = n.unit_id AND b.event = 1 AND b.year = n.year AND b.state <> 4
), told AS MATERIALIZED (
    SELECT n.entry_id, n.unit_id, p.person_id, p.sex, p.born, p.valid_from, p.full_name, p.tokens
    FROM new n, LATERAL (VALUES
        (n.child_id, 2, n.born, n.born, 'Nguyễn Thị Hường ' || :child::int, ARRAY['huong' || :child::int, 'nguyen', 'thi']),
        (n.mother_id, 2, n.born - 10000, n.today, 'Trần Thị Mai ' || :mother::int, ARRAY['mai' || :mother::int, 'thi', 'tran']),
        (n.father_id, 1, n.born - 11000, n.today, 'Nguyễn Văn Hùng ' || :father::int, ARRAY['hung' || :father::int, 'nguyen', 'van'])
    ) AS p (person_id, sex, born, valid_from, full_name, tokens)
), known AS (
    INSERT INTO persons (person_id, create_time)
    SELECT person_id, now() FROM told
), particulars AS (
    INSERT INTO person_particulars (person_id, entry_id, responsible_unit_id, full_name, sex, birth_year, birth_month, birth_day, ethnic_group,
                                    nationality, other_nationality, valid_from, record_time)
    SELECT person_id, entry_id, unit_id, full_name, sex, extract(year FROM born)::smallint, extract(month FROM born)::smallint,
           extract(day FROM born)::smallint, '01', 'VN', '', valid_from, now()
    FROM told
), words AS (
    INSERT INTO person_tokens (token, birth_year, person_id, responsible_unit_id, words)
    SELECT w.token, extract(year FROM t.born)::smallint, t.person_id, t.unit_id, ' ' || array_to_string(t.tokens, '  ') || ' '
    FROM told t, unnest(t.tokens) AS w (token)
), relations AS (
    INSERT INTO family_relations (relation_id, version, responsible_unit_id, kind, person_id, relative_id, valid_from, valid_to, entry_id, record_time)
    SELECT gen_random_uuid(), 1, n.unit_id, r.kind, n.child_id, r.relative_id, n.born, NULL, n.entry_id, now()
    FROM new n, LATERAL (VALUES (1, n.mother_id), (2, n.father_id)) AS r (kind, relative_id)
), repeated AS (
    INSERT INTO duplicate_words (word, entry_id, responsible_unit_id)
    SELECT w.word, n.entry_id, n.unit_id
    FROM new n, unnest(ARRAY[
        concat_ws(chr(58), 's', 'huong' || :child::int || ' nguyen thi'),
        concat_ws(chr(58), 'g', 'nguyen', n.year),
        concat_ws(chr(58), 'g', 'huong' || :child::int, n.year),
        concat_ws(chr(58), 'd', n.born),
        concat_ws(chr(58), 'm', 'tran thi mai' || :mother::int, n.year),
        concat_ws(chr(58), 'f', 'nguyen van hung' || :father::int, n.year)
    ]) AS w (word)
), entered AS (
    INSERT INTO entries (entry_id, responsible_unit_id, book_id, event, year, number, volume, page, registration_kind, registration_date, subject_id,
                         content, actor_id, actor_kind, record_time, occurrence)
    SELECT entry_id, unit_id, book_id, 1, year, number, (number - 1) / 400 + 1, (number - 1) / 2 % 200 + 1, 1, today, child_id,
           '{"registration_place":"Uỷ ban nhân dân xã","note":"' || repeat('x', 1600) || '"}', '00be0000-0000-0000-0000-000000000001', 'staff', now(), 1
    FROM new
), counted AS (
    INSERT INTO vital_counts (entry_id, change, responsible_unit_id, event, year, month, sex, ethnic_group, registration_kind, amount, record_time)
    SELECT entry_id, 1, unit_id, 1, year, extract(month FROM today)::smallint, 2, '01', 1, 1, now() FROM new
), wanted AS (
    INSERT INTO personal_number_requests (entry_id, person_id, responsible_unit_id, request_code, legal_basis, state, problem, next_time, version,
                                          record_time)
    SELECT entry_id, child_id, unit_id, 'KS-' || entry_id, 'khoản 1 Điều 14 Luật Căn cước 26/2023/QH15', 1, '', now(), 1, now() FROM new
), wanted_since AS (
    INSERT INTO personal_number_history (entry_id, version, responsible_unit_id, act, actor_id, actor_kind, content, record_time)
    SELECT entry_id, 1, unit_id, 'wanted', '00be0000-0000-0000-0000-000000000001', 'staff', repeat('x', 400), now() FROM new
), announced AS (
    INSERT INTO egov.outbox (event_id, aggregate_kind, aggregate_id, version, kind, payload, create_time)
    SELECT gen_random_uuid(), 'civil_entry', entry_id, 1, 'civil_birth_registered',
           jsonb_build_object('responsible_unit_id', unit_id, 'book_id', book_id, 'event', 'birth', 'year', year, 'number', number,
                              'registration_kind', 'on_time', 'subject_id', child_id, 'corrected_entry_id', NULL,
                              'person_ids', jsonb_build_array(child_id, mother_id, father_id)), now()
    FROM new
), leaf AS (
    INSERT INTO egov.leaves (leaf_id, epoch, kind, resource_id, version, commitment, create_time)
    SELECT l.leaf_id, 1, l.kind, n.entry_id, 1, sha256(uuid_send(l.leaf_id)), now()
    FROM new n, LATERAL (VALUES (n.leaf_id, 'civil_entry'), (n.number_leaf_id, 'civil_personal_number')) AS l (leaf_id, kind)
), salt AS (
    INSERT INTO egov.leaf_salts (leaf_id, salt)
    SELECT l.leaf_id, sha256(uuid_send(l.leaf_id)) FROM new n, LATERAL (VALUES (n.leaf_id), (n.number_leaf_id)) AS l (leaf_id)
)
INSERT INTO egov.request_ids (caller, method, request_id, day, request_hash, resource_kind, resource_id, resource_version, answer, create_time)
SELECT 'staff:00be0000-0000-0000-0000-000000000001', 'egov.civil_registry.v1.EntryService/RegisterBirth', gen_random_uuid(), today,
       sha256(uuid_send(entry_id)), 'civil_entry', entry_id, 1, decode(repeat(md5(entry_id::text), 90), 'hex'), now()
FROM new;
