-- no-transaction
-- The words of older cases, two thousand cases at a time beside the traffic, each a transaction of its own; hence a file and a statement of
-- its own. Broken off, it does again what it did, which changes nothing, and goes on.
DO $$
DECLARE
    place uuid := '00000000-0000-0000-0000-000000000000';
    batch uuid[];
BEGIN
    LOOP
        batch := ARRAY(SELECT case_id FROM cases WHERE case_id > place ORDER BY case_id LIMIT 2000);
        EXIT WHEN cardinality(batch) = 0;
        PERFORM keep_words_beside(batch);
        place := batch[cardinality(batch)];
        COMMIT;
    END LOOP;
END
$$;
