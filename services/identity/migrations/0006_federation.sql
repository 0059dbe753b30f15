-- Federation: issuers of agencies (OpenID Connect), links of accounts to what an issuer calls somebody, sign-ins under way.
--
-- Expand-only: new tables, and new columns that may be empty. The version before runs on this schema: it neither reads nor writes
-- what is new. Roll-back: none needed.

-- Issuers (bên cấp danh tính). Title and address stand on the page where people choose how to sign in, and the secret is sealed: no
-- row-level policy. Who may administer them is decided before the table is touched, and the query filters what a unit's
-- administrator sees.
CREATE TABLE federated_issuers (
    issuer_id             uuid        PRIMARY KEY,
    issuer                text        NOT NULL CONSTRAINT federated_issuers_issuer_key UNIQUE CHECK (issuer <> ''),
    title                 text        NOT NULL CHECK (title <> ''),
    client_id             text        NOT NULL CHECK (client_id <> ''),
    client_authentication text        NOT NULL CHECK (client_authentication IN ('private_key_jwt', 'client_secret', 'none')),
    client_secret         bytea,                      -- sealed for this issuer
    seal_key_id           text,
    redirect_uris         text[]      NOT NULL,
    unit_ids              int[]       NOT NULL,
    algorithms            text[]      NOT NULL,
    second_factor_acr     text[]      NOT NULL,
    second_factor_amr     text[]      NOT NULL,
    max_auth_age          int         NOT NULL CHECK (max_auth_age >= 0),  -- seconds; 0 asks for nothing
    disabled_time         timestamptz,
    version               bigint      NOT NULL CHECK (version >= 1),
    create_time           timestamptz NOT NULL,
    update_time           timestamptz NOT NULL,
    CHECK ((client_secret IS NULL) = (seal_key_id IS NULL)),
    CHECK ((client_authentication = 'client_secret') = (client_secret IS NOT NULL))
);
CREATE INDEX federated_issuers_by_seal_key ON federated_issuers (seal_key_id) WHERE seal_key_id IS NOT NULL;
SELECT egov.allow_update('federated_issuers', 'title', 'client_id', 'client_authentication', 'client_secret', 'seal_key_id',
    'redirect_uris', 'unit_ids', 'algorithms', 'second_factor_acr', 'second_factor_amr', 'max_auth_age', 'disabled_time', 'version',
    'update_time');

-- Who said what of an issuer, a row a version; without the secret.
CREATE TABLE federated_issuer_history (
    issuer_id   uuid        NOT NULL REFERENCES federated_issuers,
    version     bigint      NOT NULL,
    settings    jsonb       NOT NULL,
    disabled    boolean     NOT NULL,
    actor_id    uuid        NOT NULL,
    reason      text        NOT NULL,
    record_time timestamptz NOT NULL,
    PRIMARY KEY (issuer_id, version)
);
SELECT egov.append_only('federated_issuer_history');

-- Links (liên kết). What the issuer calls the person is kept as a keyed digest, which answers one question: is it the same. Seen by
-- whoever sees the account; a link that was taken away stays as history.
CREATE TABLE federated_identities (
    identity_id    uuid        PRIMARY KEY,
    account_id     uuid        NOT NULL REFERENCES accounts,
    issuer_id      uuid        NOT NULL REFERENCES federated_issuers,
    subject_digest bytea       NOT NULL CHECK (octet_length(subject_digest) = 32),
    link_time      timestamptz NOT NULL,
    linked_by      uuid        NOT NULL,
    unlink_time    timestamptz,
    unlinked_by    uuid,
    unlink_reason  text        NOT NULL DEFAULT ''
);
-- A subject means one account, and an account has one name at an issuer. By indexes and not by a look: row-level security hides
-- other units' links from a look, not from an index.
CREATE UNIQUE INDEX federated_identities_by_subject ON federated_identities (issuer_id, subject_digest) WHERE unlink_time IS NULL;
CREATE UNIQUE INDEX federated_identities_by_account ON federated_identities (account_id, issuer_id) WHERE unlink_time IS NULL;
ALTER TABLE federated_identities ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON federated_identities FOR ALL
    USING ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = federated_identities.account_id))
    WITH CHECK ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = federated_identities.account_id));
SELECT egov.allow_update('federated_identities', 'unlink_time', 'unlinked_by', 'unlink_reason');

-- Sign-ins under way. State and binding are 256 bits of chance each and kept as hashes; nonce and PKCE verifier follow from both by
-- a keyed digest and are not kept at all. Read before anybody is known, by the hash: no row-level policy.
CREATE TABLE federated_sign_ins (
    state_hash   bytea       PRIMARY KEY CHECK (octet_length(state_hash) = 32),
    binding_hash bytea       NOT NULL CHECK (octet_length(binding_hash) = 32),
    issuer_id    uuid        NOT NULL REFERENCES federated_issuers,
    redirect_uri text        NOT NULL,
    begin_time   timestamptz NOT NULL,
    expire_time  timestamptz NOT NULL,
    attempts     int         NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    used_time    timestamptz
);
CREATE INDEX federated_sign_ins_open ON federated_sign_ins (issuer_id, expire_time) WHERE used_time IS NULL;
CREATE INDEX federated_sign_ins_by_expiry ON federated_sign_ins (expire_time);
SELECT egov.allow_update('federated_sign_ins', 'attempts', 'used_time');
SELECT egov.allow_delete('federated_sign_ins');

-- By which issuer a sign-in began, so that it ends with the issuer or with the link.
ALTER TABLE sign_in_challenges ADD COLUMN issuer_id uuid REFERENCES federated_issuers;
ALTER TABLE sessions ADD COLUMN issuer_id uuid REFERENCES federated_issuers;
CREATE INDEX sessions_open_by_issuer ON sessions (issuer_id, account_id) WHERE issuer_id IS NOT NULL AND end_time IS NULL;
CREATE INDEX sign_in_challenges_by_issuer ON sign_in_challenges (issuer_id) WHERE issuer_id IS NOT NULL AND used_time IS NULL;
