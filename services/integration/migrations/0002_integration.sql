-- The service integration: its entries.
--
-- 0001 is the shared schema `egov` (crates/database/shared.sql). This file is expand-only; what a later migration replaces
-- is removed two releases later.

-- An entry belongs to the unit that made it. It is never changed.
CREATE TABLE entries (
    entry_id            uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    title               text        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL
);
CREATE INDEX entries_by_unit_and_time ON entries (responsible_unit_id, create_time DESC, entry_id DESC);
SELECT egov.protect('entries');
SELECT egov.append_only('entries');
