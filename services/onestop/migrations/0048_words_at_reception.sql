-- Tìm kiếm ở nơi tiếp nhận: the words of a case that a unit received for another one are kept for that unit as well, so that it finds the case
-- by them. A table of their own: cases that are decided where they were received, mostly all, have no row more than before, and what is walked
-- for the competent unit stays as short as it was.
--
-- Who may see the rows: whoever sees the case by its competent unit, or by the unit that received it (0018); the latter reads them only.
-- Expand only: the version before neither reads nor writes the table. What it files or moves meanwhile is found at the place of reception as
-- little as before, until the job makes up for it (`onestop.version-before`). Older cases: 0051. Way back: drop the table and the function.
CREATE TABLE received_case_tokens (
    receiving_unit_id   int         NOT NULL,                   -- nơi tiếp nhận
    responsible_unit_id int         NOT NULL,                   -- cơ quan có thẩm quyền
    token               text        NOT NULL COLLATE "C",
    case_id             uuid        NOT NULL REFERENCES cases,
    submit_time         timestamptz NOT NULL,
    words               text        NOT NULL COLLATE "C",       -- as in case_tokens
    -- What the policies ask for is beside it, so that a walk need not look at the table.
    PRIMARY KEY (token, receiving_unit_id, submit_time, case_id) INCLUDE (responsible_unit_id, words),
    CHECK (receiving_unit_id <> responsible_unit_id)
);
-- The words of one case: whether it carries a further one, or one with this beginning; and all of them, when it moves.
CREATE INDEX received_case_tokens_of_case ON received_case_tokens (case_id, token) INCLUDE (receiving_unit_id, responsible_unit_id);
SELECT egov.protect('received_case_tokens');
-- Before `scope` in the alphabet, and so tried after it.
CREATE POLICY by_reception ON received_case_tokens FOR SELECT
    USING (receiving_unit_id = ANY ((SELECT egov.scope())::int[]));
-- Cases move to the successor of a unit that closes; the one that received them may be that.
SELECT egov.allow_update('received_case_tokens', 'responsible_unit_id');
SELECT egov.allow_delete('received_case_tokens');

-- Adds what is missing at the place of reception of these cases, which the caller must see. Case by case, as keep_words_beside does it.
-- `domain::search::kept_beside` has the same rule; a test compares the two.
CREATE FUNCTION keep_words_at_reception(batch uuid[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    INSERT INTO received_case_tokens AS kept (receiving_unit_id, responsible_unit_id, token, case_id, submit_time, words)
    SELECT c.receiving_unit_id, c.responsible_unit_id, t.token, c.case_id, t.submit_time, beside.words
    FROM unnest(batch) AS b (case_id)
    CROSS JOIN LATERAL (SELECT * FROM cases
                        WHERE cases.case_id = b.case_id AND cases.receiving_unit_id <> cases.responsible_unit_id OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT coalesce(' ' || string_agg(w.token, ' ' ORDER BY w.token), '') || ' ' AS words
                        FROM case_tokens AS w WHERE w.case_id = c.case_id AND w.token !~ '^[+0-9]') AS beside
    CROSS JOIN LATERAL (SELECT * FROM case_tokens AS w WHERE w.case_id = c.case_id OFFSET 0) AS t
    ON CONFLICT (token, receiving_unit_id, submit_time, case_id) DO UPDATE SET responsible_unit_id = excluded.responsible_unit_id
        WHERE kept.responsible_unit_id <> excluded.responsible_unit_id;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
SELECT egov.allow_execute('keep_words_at_reception(uuid[])');
