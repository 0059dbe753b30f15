-- Đối soát với Cổng dịch vụ công quốc gia: each change of a reconciliation is kept, and the cases that are not over are found by unit.
--
-- Why: a reconciliation's row is overwritten while it is done, so that nobody could recompute what the leaves of its earlier versions
-- commit to (`egov verify log`). Its history keeps, word for word, what each leaf commits to: figures, days, who asked; nothing of a
-- person. Behind row-level security by unit, as the reconciliation. And: a case that one-stop has changed without our hearing of it is
-- found among those that, by what the portal was told, are not over; without an index every daily reconciliation would read all that a
-- unit ever told.
-- Expand only: an instance of before goes on with leaves of the kind of before, of which only the last is recomputed. To go back: drop both.

CREATE TABLE portal_reconciliation_history (
    reconciliation_id   uuid        NOT NULL REFERENCES portal_reconciliations,
    version             bigint      NOT NULL,
    responsible_unit_id int         NOT NULL,
    document            text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (reconciliation_id, version)
);
SELECT egov.protect('portal_reconciliation_history');
SELECT egov.append_only('portal_reconciliation_history');

-- 3, 7, 8 and 10 are the national codes of the states that end a case.
CREATE INDEX portal_synchronisations_not_over ON portal_synchronisations (responsible_unit_id, case_code)
    WHERE told_state NOT IN (3, 7, 8, 10);
