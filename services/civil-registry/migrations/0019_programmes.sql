-- Giao diện chuẩn cho các chương trình: what other systems asked in the envelope of SPDCI, and what was answered.
--
-- Expand-only. Going back: drop the table; nothing else rests on it, and each answer was recorded when it left.
--
-- Who sees what: the system that asked, and nobody else (`owner_id`).

-- A message as it was taken in, and its answer. It is done with the rights of the moment when it came (`may_ask`, `read_all`, `read_units`), by whoever takes
-- it; the first answer counts. `reads` is whose data the answer holds, for the record of each time that it leaves. Kept for seven days, then deleted: it
-- is a copy of what the books say, and the record of reading stays. No leaf: nothing of the registry is changed by it.
CREATE TABLE programme_searches (
    correlation_id uuid        PRIMARY KEY,
    owner_id       uuid        NOT NULL,
    transaction_id text        NOT NULL,
    is_sync        boolean     NOT NULL,
    purpose        text        NOT NULL,
    may_ask        boolean     NOT NULL,
    read_all       boolean     NOT NULL,
    read_units     integer[]   NOT NULL,
    request        text        NOT NULL,
    record_time    timestamptz NOT NULL,
    due_time       timestamptz NOT NULL,
    answer         text,
    reads          text,
    answer_time    timestamptz,
    CONSTRAINT programme_searches_whole CHECK ((answer IS NULL) = (answer_time IS NULL) AND (answer IS NULL) = (reads IS NULL))
);
CREATE INDEX programme_searches_due ON programme_searches (due_time) WHERE answer IS NULL AND NOT is_sync;
CREATE INDEX programme_searches_by_time ON programme_searches (record_time);
CREATE INDEX programme_searches_by_transaction ON programme_searches (owner_id, transaction_id, record_time DESC);
SELECT egov.protect('programme_searches');
SELECT egov.allow_update('programme_searches', 'due_time', 'answer', 'reads', 'answer_time');
SELECT egov.allow_delete('programme_searches');
