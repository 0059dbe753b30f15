-- Sealing anew: how far a job has come that seals with the key of bodies what versions before sealed with the key of answers, whose old
-- generations open for 31 days only. A row a column; with a finish_time it is done. To have a column looked through once more, for
-- example because a version before went on sealing beside this one: delete its row.
--
-- Who sees it: the job; ids of rows, nothing of what is in them. Expand only. To go back: drop the table; what was sealed anew opens in
-- every version that knows the key of bodies.

CREATE TABLE resealing (
    kept        text        PRIMARY KEY,
    after_id    uuid        NOT NULL,
    after_part  text        NOT NULL,
    sealed      bigint      NOT NULL,
    lost        bigint      NOT NULL,
    finish_time timestamptz
);
SELECT egov.allow_update('resealing', 'after_id', 'after_part', 'sealed', 'lost', 'finish_time');
SELECT egov.allow_delete('resealing');
