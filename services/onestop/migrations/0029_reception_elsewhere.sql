-- Tiếp nhận, trả kết quả không phụ thuộc vào địa giới hành chính: the steps of reception and return of a case that was received for another
-- unit lie in the inbox of the place of reception as well. It sees these tasks and no others of the case; the policy is for SELECT alone.
--
-- Expand only: the version before opens tasks without the column. They lie with the competent unit alone, as those that are open now; the place
-- of reception acts on their cases all the same. Way back: drop the policy, the index of 0036 and the column.
ALTER TABLE case_tasks ADD COLUMN reception_unit_id int;   -- nơi tiếp nhận, if another unit

-- Before `scope` in the alphabet, and so tried after it.
CREATE POLICY by_reception ON case_tasks FOR SELECT
    USING (reception_unit_id = ANY ((SELECT egov.scope())::int[]));
