-- Hạn mức dùng chung: how many calls of a minute or a day the instances of the door have taken out of an agreement's quota, so that
-- together they let through no more than that. An instance takes some at a time and counts them by itself; what it took and did not
-- use is lost with the window.
--
-- Who sees it: the door; there is no wall, since nothing but counts of an agreement stands here, and no RPC reads it. Rows of past
-- windows are deleted. Expand only: a process of the version before counts for itself. To go back: drop the table.

CREATE TABLE quota_leases (
    agreement_id uuid        NOT NULL REFERENCES agreements,
    span         text        NOT NULL CHECK (span IN ('minute', 'day')),
    start_time   timestamptz NOT NULL,
    leased       integer     NOT NULL CHECK (leased >= 0),
    PRIMARY KEY (agreement_id, span, start_time)
) WITH (fillfactor = 70); -- the rows of the present windows are changed all the time
CREATE INDEX quota_leases_by_age ON quota_leases (start_time);
SELECT egov.allow_update('quota_leases', 'leased');
SELECT egov.allow_delete('quota_leases');
