-- Nội dung trao đổi: a body whose time is over leaves its row without the content, so that whoever asks for it hears when it was
-- deleted, and not that there never was one.
--
-- Who sees the rows: as before, both sides. Expand only: the version before deletes whole rows, which is still allowed. To go back:
-- delete the rows without content, then drop the columns and the index, and restore NOT NULL.

ALTER TABLE exchange_bodies
    ALTER COLUMN sealed DROP NOT NULL,
    ADD COLUMN delete_time timestamptz,
    ADD CONSTRAINT exchange_bodies_deleted CHECK ((sealed IS NULL) = (delete_time IS NOT NULL));
SELECT egov.allow_update('exchange_bodies', 'sealed', 'delete_time');

-- Only those that are kept wait for their end.
CREATE INDEX exchange_bodies_kept ON exchange_bodies (expire_time) WHERE sealed IS NOT NULL;
DROP INDEX exchange_bodies_by_end;

-- What the leaf of a change of an agreement commits to, as it was then: so that every leaf can be recomputed, and the rows of now be
-- compared with the last change. Changes of before have none.
ALTER TABLE agreement_history ADD COLUMN document jsonb;
