-- Readings that the person concerned can understand (Luật Bảo vệ dữ liệu cá nhân 91/2025/QH15: who is processed has a right
-- to know by whom, for what and on which basis): beside the key of the reader, the unit and the roles by which it read, and
-- whose each resource of a list is, so that nobody is shown what belongs to another person of the same list.
--
-- Who may see the rows: nobody by row-level security. `subjects @> ARRAY[…]` is found by its GIN index, which a policy would
-- make useless (the operator is not leakproof); the one query over the table (crates/readings) filters by the caller's scope.
--
-- Further shared file of crates/database; services copy it word for word.
-- Expand only: the columns have defaults, and the version before writes on. Roll-back: drop the columns.

ALTER TABLE egov.read_records
    -- Whose each resource is, in the order of `resources`; NULL where that is not known.
    ADD COLUMN owners uuid[] NOT NULL DEFAULT '{}',
    -- The unit of the reader's account.
    ADD COLUMN reader_unit integer,
    -- The name of the system that read (client id); NULL for persons.
    ADD COLUMN reader_client text,
    -- The roles by which the reader could read, own ones before delegated ones: [{"r": role, "u": unit, "b": delegator}].
    ADD COLUMN capacities jsonb NOT NULL DEFAULT '[]',
    -- Every unit in whose name was read: the account's, and those where the roles are held. For the unit's auditor.
    ADD COLUMN reader_units integer[] NOT NULL DEFAULT '{}';

CREATE OR REPLACE FUNCTION egov.shared_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 4 $$;
