-- no-transaction
-- The words of older cases that were received for another unit, two thousand cases at a time beside the traffic, each a transaction of its own;
-- hence a file and a statement of its own. By the index that holds such cases only (0018): the others are not looked at. Broken off, it does again
-- what it did, which changes nothing, and goes on.
DO $$
DECLARE
    filed timestamptz := 'infinity';
    place uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    batch uuid[];
BEGIN
    LOOP
        batch := ARRAY(SELECT case_id FROM cases
                       WHERE receiving_unit_id <> responsible_unit_id AND (submit_time, case_id) < (filed, place)
                       ORDER BY submit_time DESC, case_id DESC LIMIT 2000);
        EXIT WHEN cardinality(batch) = 0;
        PERFORM keep_words_at_reception(batch);
        place := batch[cardinality(batch)];
        filed := (SELECT submit_time FROM cases WHERE case_id = place);
        COMMIT;
    END LOOP;
END
$$;
