-- Nội dung trao đổi: a body whose time is over leaves its row without the content, so that whoever asks for it hears when it was
-- deleted, and not that there never was one.
--
-- Who sees the rows: as before, both sides. Expand only: the version before deletes whole rows, which is still allowed. To go back:
-- delete the rows without content, then drop the columns and the constraint, and restore NOT NULL.
--
-- Nothing here looks at a row: the door waits for a table that is locked. The index for the sweep is built beside the traffic, in
-- 0015; that of before stays for the version before.

ALTER TABLE exchange_bodies
    ALTER COLUMN sealed DROP NOT NULL,
    ADD COLUMN delete_time timestamptz,
    -- NOT VALID: it holds for whatever is written from now on. The rows of before have their content and no time, and so fulfil it
    -- without anybody walking over them.
    ADD CONSTRAINT exchange_bodies_deleted CHECK ((sealed IS NULL) = (delete_time IS NOT NULL)) NOT VALID;
SELECT egov.allow_update('exchange_bodies', 'sealed', 'delete_time');

-- What the leaf of a change of an agreement commits to, as it was then: so that every leaf can be recomputed, and the rows of now be
-- compared with the last change. Changes of before have none.
ALTER TABLE agreement_history ADD COLUMN document jsonb;
