-- Identity: units through time, accounts, roles, sessions, systems, citizens, revocations.
--
-- 0001 is the shared schema `egov` (crates/database/shared.sql). This file is expand-only; what a later migration
-- replaces is removed two releases later. Every table says who may see its rows. Roll-back: none needed, nothing that
-- exists is changed.

-- Units ---------------------------------------------------------------------------------------------------------------
-- Đơn vị in a period. A code resolves to a unit only together with a day: several communes of 2025 kept an old code
-- under another name and area. The pair (code, first day) is the key of a period; its id is given once and never
-- again. Public by law: no row-level policy.
CREATE TABLE units (
    unit_id                 int  PRIMARY KEY CHECK (unit_id > 0),  -- 0 stands for the whole province in roles
    code                    text NOT NULL CHECK (code <> ''),
    name                    text NOT NULL CHECK (name <> ''),
    kind                    smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),  -- egov.identity.v1.UnitKind
    parent_id               int  REFERENCES units,
    effective_from          date NOT NULL,
    effective_to            date,                                  -- exclusive
    agency_code             text,                                  -- mã định danh cơ quan
    agency_code_provisional boolean NOT NULL DEFAULT false,
    fact_status             text NOT NULL CHECK (fact_status IN ('confirmed', 'unconfirmed', 'decided')),
    note                    text NOT NULL,
    UNIQUE (code, effective_from),
    CHECK (effective_to IS NULL OR effective_to > effective_from),
    CHECK (parent_id <> unit_id)
);
CREATE INDEX units_by_parent ON units (parent_id, unit_id);
-- Names, parents, agency codes and the end of a period can turn out different; the code, its first day and the id cannot.
SELECT egov.allow_update('units', 'name', 'kind', 'parent_id', 'effective_to', 'agency_code', 'agency_code_provisional',
    'fact_status', 'note');

-- What each import found and changed, as the row then was: when we learned what (record time).
CREATE TABLE unit_history (
    unit_id      int         NOT NULL REFERENCES units,
    tree_version bigint      NOT NULL,
    record_time  timestamptz NOT NULL,
    source       text        NOT NULL,   -- the pack
    state        jsonb       NOT NULL,
    PRIMARY KEY (unit_id, tree_version)
);
SELECT egov.append_only('unit_history');

-- The version of the tree, one row. Whoever changes units locks it first: imports take turns, and the version that a
-- snapshot carries is that of what it holds.
CREATE TABLE unit_tree (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    version     bigint      NOT NULL,
    update_time timestamptz NOT NULL
);
INSERT INTO unit_tree (version, update_time) VALUES (0, '2025-07-01T00:00:00+07');
SELECT egov.allow_update('unit_tree', 'version', 'update_time');


-- Staff ---------------------------------------------------------------------------------------------------------------

-- Tài khoản. owner_id is the account itself: people may read their own row.
CREATE TABLE accounts (
    account_id          uuid        PRIMARY KEY,
    owner_id            uuid        NOT NULL GENERATED ALWAYS AS (account_id) STORED,
    username            text        NOT NULL CONSTRAINT accounts_username_key UNIQUE,
    full_name           text        NOT NULL,
    responsible_unit_id int         NOT NULL REFERENCES units,
    -- Keyed hash of the user name under which failed sign-ins are counted, for this name or for one that no account has.
    attempt_key         bytea       NOT NULL CHECK (octet_length(attempt_key) = 32),
    disabled_time       timestamptz,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL
);
CREATE INDEX accounts_by_unit ON accounts (responsible_unit_id, account_id);
SELECT egov.protect('accounts');
SELECT egov.allow_update('accounts', 'disabled_time', 'version', 'update_time');

-- The secrets of an account, apart, so that no list of accounts can carry them along. Read at sign-in only, by account.
CREATE TABLE credentials (
    account_id     uuid        PRIMARY KEY REFERENCES accounts,
    password_hash  text        NOT NULL,   -- Argon2id, PHC string
    totp_secret    bytea       NOT NULL,   -- sealed with the keyring for this account
    totp_last_step bigint      NOT NULL,   -- RFC 6238: a code works once
    seal_key_id    text        NOT NULL,   -- under which key it is sealed, for the job that seals anew after a rotation
    update_time    timestamptz NOT NULL
);
CREATE INDEX credentials_by_seal_key ON credentials (seal_key_id);
SELECT egov.allow_update('credentials', 'password_hash', 'totp_secret', 'totp_last_step', 'seal_key_id', 'update_time');

-- Vai trò at units for a time. A grant is seen by whoever sees its account, so that a reorganisation moves one row.
CREATE TABLE role_grants (
    grant_id       uuid        PRIMARY KEY,
    account_id     uuid        NOT NULL REFERENCES accounts,
    role           text        NOT NULL,
    unit_id        int         NOT NULL REFERENCES units,
    effective_from date        NOT NULL,
    effective_to   date,                  -- exclusive; equal to the first day for a role that never came into force
    granted_by     uuid,                  -- absent for the first administrator
    grant_time     timestamptz NOT NULL,
    ended_by       uuid,
    end_time       timestamptz,
    CHECK (effective_to IS NULL OR effective_to >= effective_from)
);
CREATE INDEX role_grants_by_account ON role_grants (account_id);
ALTER TABLE role_grants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON role_grants FOR ALL
    USING ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = role_grants.account_id))
    WITH CHECK ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = role_grants.account_id));
SELECT egov.allow_update('role_grants', 'effective_to', 'ended_by', 'end_time');

-- Failed sign-ins by name, counted here so that a restart forgets nothing. The key is a keyed hash of the typed name:
-- what people mistype, passwords among it, is not kept.
CREATE TABLE sign_in_attempts (
    attempt_key  bytea       PRIMARY KEY CHECK (octet_length(attempt_key) = 32),
    failures     int         NOT NULL CHECK (failures >= 0),
    last_time    timestamptz NOT NULL,
    locked_until timestamptz
);
CREATE INDEX sign_in_attempts_by_time ON sign_in_attempts (last_time);
SELECT egov.allow_update('sign_in_attempts', 'failures', 'last_time', 'locked_until');
SELECT egov.allow_delete('sign_in_attempts');

-- Between the password and the one-time code.
CREATE TABLE sign_in_challenges (
    challenge_hash bytea       PRIMARY KEY CHECK (octet_length(challenge_hash) = 32),
    account_id     uuid        NOT NULL REFERENCES accounts,
    expire_time    timestamptz NOT NULL,
    used_time      timestamptz
);
CREATE INDEX sign_in_challenges_by_expiry ON sign_in_challenges (expire_time);
SELECT egov.allow_update('sign_in_challenges', 'used_time');
SELECT egov.allow_delete('sign_in_challenges');

-- Phiên làm việc: the family of its refresh tokens.
CREATE TABLE sessions (
    session_id  uuid        PRIMARY KEY,
    account_id  uuid        NOT NULL REFERENCES accounts,
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    end_time    timestamptz,
    end_reason  text CHECK ((end_time IS NULL) = (end_reason IS NULL))
);
CREATE INDEX sessions_open_by_account ON sessions (account_id) WHERE end_time IS NULL;
CREATE INDEX sessions_by_expiry ON sessions (expire_time);
SELECT egov.allow_update('sessions', 'end_time', 'end_reason');
SELECT egov.allow_delete('sessions');

CREATE TABLE refresh_tokens (
    token_hash  bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id  uuid        NOT NULL REFERENCES sessions ON DELETE CASCADE,
    issue_time  timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    used_time   timestamptz
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
SELECT egov.allow_update('refresh_tokens', 'used_time');
SELECT egov.allow_delete('refresh_tokens');


-- Systems and citizens --------------------------------------------------------------------------------------------------

-- Hệ thống. They belong to no unit: only whoever sees the whole province sees them.
CREATE TABLE systems (
    system_id         uuid        PRIMARY KEY,
    client_id         text        NOT NULL CONSTRAINT systems_client_id_key UNIQUE,
    name              text        NOT NULL,
    public_jwk        jsonb       NOT NULL,
    acts_for_citizens boolean     NOT NULL,
    disabled_time     timestamptz,
    version           bigint      NOT NULL CHECK (version >= 1),
    create_time       timestamptz NOT NULL,
    update_time       timestamptz NOT NULL
);
ALTER TABLE systems ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON systems FOR ALL USING ((SELECT egov.scope_all())) WITH CHECK ((SELECT egov.scope_all()));
SELECT egov.allow_update('systems', 'name', 'public_jwk', 'acts_for_citizens', 'disabled_time', 'version', 'update_time');

CREATE TABLE system_roles (
    system_id uuid NOT NULL REFERENCES systems,
    role      text NOT NULL,
    unit_id   int  NOT NULL CHECK (unit_id >= 0),   -- 0: the whole province
    PRIMARY KEY (system_id, role, unit_id)
);
ALTER TABLE system_roles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON system_roles FOR ALL USING ((SELECT egov.scope_all())) WITH CHECK ((SELECT egov.scope_all()));
SELECT egov.allow_delete('system_roles');

-- Công dân, known by nothing but what an issuer of electronic identities said. The personal number is sealed; its keyed
-- digest answers one question only, whether two issuers speak of the same person.
CREATE TABLE citizens (
    citizen_id             uuid        PRIMARY KEY,
    personal_number        bytea,
    personal_number_digest bytea UNIQUE CHECK (octet_length(personal_number_digest) = 32),
    seal_key_id            text,
    create_time            timestamptz NOT NULL,
    CHECK ((personal_number IS NULL) = (personal_number_digest IS NULL)),
    CHECK ((personal_number IS NULL) = (seal_key_id IS NULL))
);
CREATE INDEX citizens_by_seal_key ON citizens (seal_key_id);
ALTER TABLE citizens ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON citizens FOR ALL USING ((SELECT egov.scope_all())) WITH CHECK ((SELECT egov.scope_all()));
SELECT egov.allow_update('citizens', 'personal_number', 'personal_number_digest', 'seal_key_id');

-- The subject is kept as a keyed digest: an issuer may use the personal number itself as its name for a person.
CREATE TABLE citizen_identities (
    issuer         text        NOT NULL,
    subject_digest bytea       NOT NULL CHECK (octet_length(subject_digest) = 32),
    citizen_id     uuid        NOT NULL REFERENCES citizens,
    create_time    timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject_digest)
);
CREATE INDEX citizen_identities_by_citizen ON citizen_identities (citizen_id);
ALTER TABLE citizen_identities ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON citizen_identities FOR ALL USING ((SELECT egov.scope_all())) WITH CHECK ((SELECT egov.scope_all()));

-- Assertions that were believed (jti): each is believed once, as long as it could be believed again.
CREATE TABLE used_assertions (
    issuer          text        NOT NULL,
    token_id_digest bytea       NOT NULL CHECK (octet_length(token_id_digest) = 32),
    expire_time     timestamptz NOT NULL,
    PRIMARY KEY (issuer, token_id_digest)
);
CREATE INDEX used_assertions_by_expiry ON used_assertions (expire_time);
SELECT egov.allow_delete('used_assertions');

-- The key of the keyed digests above, sealed with the keyring: it must stay the same when the keyring rotates, or the same
-- person would become another. Made at the first start; only its seal is renewed.
CREATE TABLE digest_keys (
    purpose     text  PRIMARY KEY,
    sealed_key  bytea NOT NULL,
    seal_key_id text  NOT NULL
);
SELECT egov.allow_update('digest_keys', 'sealed_key', 'seal_key_id');


-- Revocations -----------------------------------------------------------------------------------------------------------
-- What is void before its time, with opaque ids only. Positions are gapless and committed in their order: whoever adds
-- one holds the row of revocation_head until the commit. Were they drawn from a sequence, a reader could pass a position
-- whose transaction commits later and never hear of it.
CREATE TABLE revocations (
    position    bigint      PRIMARY KEY,
    subject_id  uuid,
    session_id  uuid,
    token_id    text,
    not_after   timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    CHECK (num_nonnulls(subject_id, session_id, token_id) = 1)
);
CREATE INDEX revocations_by_subject ON revocations (subject_id, not_after) WHERE subject_id IS NOT NULL;
CREATE INDEX revocations_by_expiry ON revocations (expire_time);
SELECT egov.allow_delete('revocations');

CREATE TABLE revocation_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL
);
INSERT INTO revocation_head (position) VALUES (0);
SELECT egov.allow_update('revocation_head', 'position');


-- The record --------------------------------------------------------------------------------------------------------------
-- Sign-ins and acts of administration, never changed. owner_id is whose sign-in it is or whom it concerns; both columns are
-- empty for a name that no account has.
CREATE TABLE access_records (
    record_id           uuid        PRIMARY KEY,
    owner_id            uuid,
    responsible_unit_id int,
    record_time         timestamptz NOT NULL,
    kind                text        NOT NULL,
    actor_id            uuid,
    detail              text        NOT NULL
);
CREATE INDEX access_records_by_owner ON access_records (owner_id, record_id DESC);
SELECT egov.protect('access_records');
SELECT egov.append_only('access_records');
