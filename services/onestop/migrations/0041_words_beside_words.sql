-- The words of a case are kept beside each of them (tìm kiếm theo tên): a walk of one word sees whether a case carries the others, where it
-- had to look them up, each in another place of the disk: 800 places for a page of "nguyen van hoa" among a million cases. And more pairs of
-- words are stored as one, so that the walk of what is rarest in a name is short.
--
-- Expand-only: what the version before writes has neither; it is looked up as before, and made up for by the job that does that for this
-- version. Numbers are not kept here, nor pairs.
-- Way back: drop the indexes of 0043 and 0044, the function and the column, make case_tokens_by_time anew as in 0014.
ALTER TABLE case_tokens ADD COLUMN words text COLLATE "C";
SELECT egov.allow_update('case_tokens', 'words');

-- Adds what is missing to the words of these cases, which the caller must see. The rules are `domain::search::kept_beside` and `FREQUENT`;
-- tests compare them. By the ids, case by case: of a range of ids the planner, which does not know how long it is, reads the whole table.
CREATE FUNCTION keep_words_beside(batch uuid[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    WITH frequent (word) AS (VALUES
        ('nguyen'), ('thi'), ('cong'), ('van'), ('tran'), ('thanh'), ('ngoc'), ('le'), ('hoang'), ('minh'), ('pham'), ('phuong'),
        ('duc'), ('anh'), ('thu'), ('hong'), ('phan'), ('quang'), ('kim'), ('dinh'), ('thuy'), ('quynh'), ('mai'),
        ('huu'), ('xuan'), ('tuan'), ('khanh'), ('hoai'), ('duy'), ('thao'), ('trang'), ('quoc'), ('linh'), ('dung'),
        ('vo'), ('dang'), ('bich'), ('duong'), ('vi'), ('bui'), ('truong'), ('vu'), ('lan'), ('hung'), ('trung'),
        ('trong'), ('hieu'), ('gia'), ('bao'), ('ly'), ('ho'), ('huy'), ('hang'), ('do'), ('huong'), ('trinh'),
        ('luong'), ('ngo'), ('thai'), ('ha'), ('cao'), ('dau'), ('lo'), ('huynh')
    )
    INSERT INTO case_tokens (responsible_unit_id, token, owner_id, case_id, submit_time)
    SELECT a.responsible_unit_id, '+' || a.token || ' ' || b.token, a.owner_id, a.case_id, a.submit_time
    FROM unnest(batch) AS c (case_id)
    CROSS JOIN LATERAL (SELECT * FROM case_tokens AS t
                        WHERE t.case_id = c.case_id AND t.token IN (SELECT word FROM frequent) OFFSET 0) AS a
    CROSS JOIN LATERAL (SELECT t.token FROM case_tokens AS t
                        WHERE t.case_id = c.case_id AND t.token > a.token AND t.token IN (SELECT word FROM frequent) OFFSET 0) AS b
    ON CONFLICT DO NOTHING;

    UPDATE case_tokens AS t
    SET words = kept.words
    FROM (SELECT c.case_id, coalesce((SELECT ' ' || string_agg(w.token, ' ' ORDER BY w.token) FROM case_tokens AS w
                                      WHERE w.case_id = c.case_id AND w.token !~ '^[+0-9]'), '') || ' ' AS words
          FROM unnest(batch) AS c (case_id) OFFSET 0) AS kept
    WHERE t.case_id = kept.case_id AND t.words IS NULL;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
SELECT egov.allow_execute('keep_words_beside(uuid[])');
