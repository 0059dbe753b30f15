-- What a partner has taken and not done yet, and by what the content is known again that the national portal was told.
--
-- Why: a payment platform may take a refund at once and give the money back hours later; that is waited for by a time of its own and not by
-- the number of tries, so that somebody has to know since when (`taken_time`). And a version of a case is no state by itself: a one-stop
-- that was restored counts over numbers that were told before. A digest of what was told stands beside the number, so that the same number with
-- another content is told. It is keyed with the keyring's key for bodies: nothing of a person is learnt from it, nor found out by trying.
--
-- Rows of before have no digest: what one-stop shows of the very version that they told is told once more, if it is asked at all. Expand only:
-- an instance of before goes on without both; what it tells has no digest. To go back: drop the columns.

ALTER TABLE deliveries
    ADD COLUMN taken_time timestamptz,
    ADD COLUMN content_digest text NOT NULL DEFAULT '';
SELECT egov.allow_update('deliveries', 'taken_time');

ALTER TABLE portal_synchronisations
    ADD COLUMN told_digest text NOT NULL DEFAULT '';
SELECT egov.allow_update('portal_synchronisations', 'told_digest');
