-- Access: reasons of grants, delegations, sessions that can be listed, activation of accounts, leavers, review.
--
-- Expand-only: new tables, new columns that may be empty, policies that let more be seen. The version before runs on this schema:
-- it neither reads nor writes what is new. Roll-back: none needed.

-- Grants ------------------------------------------------------------------------------------------------------------------
ALTER TABLE role_grants
    ADD COLUMN reason     text NOT NULL DEFAULT '',
    ADD COLUMN end_reason text NOT NULL DEFAULT '';
SELECT egov.allow_update('role_grants', 'end_reason');
CREATE INDEX role_grants_by_unit ON role_grants (unit_id, grant_id);

-- Whoever looks after a unit sees who holds a role there, also when the holder belongs to another unit: otherwise a review would
-- miss exactly the grants that deserve it. The account itself stays hidden; changing the grant still needs the account.
CREATE POLICY at_unit ON role_grants FOR SELECT USING (unit_id = ANY ((SELECT egov.scope())::integer[]));

-- The last day on which identity issued a token that carried a grant: written once a day for each grant, when tokens are issued,
-- and never by a request. Seen like the grant.
CREATE TABLE grant_uses (
    grant_id          uuid PRIMARY KEY REFERENCES role_grants,
    last_in_token     date NOT NULL
);
ALTER TABLE grant_uses ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON grant_uses FOR ALL
    USING ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM role_grants g WHERE g.grant_id = grant_uses.grant_id))
    WITH CHECK ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM role_grants g WHERE g.grant_id = grant_uses.grant_id));
SELECT egov.allow_update('grant_uses', 'last_in_token');

-- Lượt rà soát: a reviewer keeps a grant. Never changed. Seen like the grant.
CREATE TABLE grant_reviews (
    review_id   uuid        PRIMARY KEY,
    grant_id    uuid        NOT NULL REFERENCES role_grants,
    reviewer_id uuid        NOT NULL,
    review_time timestamptz NOT NULL,
    note        text        NOT NULL
);
CREATE INDEX grant_reviews_by_grant ON grant_reviews (grant_id, review_id DESC);
ALTER TABLE grant_reviews ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON grant_reviews FOR ALL
    USING ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM role_grants g WHERE g.grant_id = grant_reviews.grant_id))
    WITH CHECK ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM role_grants g WHERE g.grant_id = grant_reviews.grant_id));
SELECT egov.append_only('grant_reviews');

-- The last sign-in of each account, for the review.
CREATE INDEX access_records_sign_ins ON access_records (owner_id, record_id DESC) WHERE kind = 'sign_in';


-- Delegations (uỷ quyền) ----------------------------------------------------------------------------------------------------
-- It counts while it has not ended AND the grant on which it rests is in force AND the delegator's account is open; that is asked
-- whenever a token is issued, so that nothing has to be kept in step. Seen by whoever sees either account.
CREATE TABLE delegations (
    delegation_id   uuid        PRIMARY KEY,
    grant_id        uuid        NOT NULL REFERENCES role_grants,
    delegator_id    uuid        NOT NULL REFERENCES accounts,
    delegatee_id    uuid        NOT NULL REFERENCES accounts,
    -- As on the day of the document: the two sides know each other, without seeing each other's accounts.
    delegator_name    text      NOT NULL,
    delegator_unit_id int       NOT NULL REFERENCES units,
    delegatee_name    text      NOT NULL,
    delegatee_unit_id int       NOT NULL REFERENCES units,
    effective_from  date        NOT NULL,
    effective_to    date        NOT NULL,             -- exclusive
    reason          text        NOT NULL CHECK (reason <> ''),
    document_number text        NOT NULL CHECK (document_number <> ''),
    create_time     timestamptz NOT NULL,
    ended_by        uuid,
    end_time        timestamptz,
    end_reason      text        NOT NULL DEFAULT '',
    CHECK (effective_to > effective_from),
    CHECK (delegator_id <> delegatee_id)
);
CREATE INDEX delegations_by_grant ON delegations (grant_id);
CREATE INDEX delegations_by_delegator ON delegations (delegator_id, delegation_id);
CREATE INDEX delegations_by_delegatee ON delegations (delegatee_id, delegation_id);
ALTER TABLE delegations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON delegations FOR ALL
    USING ((SELECT egov.scope_all())
           OR delegator_id = (SELECT egov.scope_owner()) OR delegatee_id = (SELECT egov.scope_owner())
           OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id IN (delegations.delegator_id, delegations.delegatee_id)))
    WITH CHECK ((SELECT egov.scope_all())
           OR delegator_id = (SELECT egov.scope_owner()) OR delegatee_id = (SELECT egov.scope_owner())
           OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id IN (delegations.delegator_id, delegations.delegatee_id)));
SELECT egov.allow_update('delegations', 'ended_by', 'end_time', 'end_reason');

-- Whoever sees a delegation sees the grant on which it rests. (The policy of delegations asks for accounts only, so that the two do
-- not ask for one another.)
CREATE POLICY delegated ON role_grants FOR SELECT
    USING (EXISTS (SELECT 1 FROM delegations d WHERE d.grant_id = role_grants.grant_id));


-- Sessions ------------------------------------------------------------------------------------------------------------------
-- With what somebody signed in, as far as a person recognises it: product and platform, no version, no address.
ALTER TABLE sessions ADD COLUMN client_hint text NOT NULL DEFAULT '' CHECK (length(client_hint) <= 60);
SELECT egov.allow_update('sessions', 'client_hint');
-- Since they can be listed, they are seen by whoever sees the account.
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON sessions FOR ALL
    USING ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = sessions.account_id))
    WITH CHECK ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = sessions.account_id));


-- Activation (kích hoạt tài khoản) --------------------------------------------------------------------------------------------
-- An account that was made in bulk has no credentials until its owner activates it. The code has 100 bits of chance and is kept
-- as a keyed digest; the secret of the one-time codes is sealed for the account, as in `credentials`. Read by the code, before
-- anybody is known, and by whoever sees the account.
CREATE TABLE activations (
    account_id  uuid        PRIMARY KEY REFERENCES accounts,
    code_digest bytea       NOT NULL UNIQUE CHECK (octet_length(code_digest) = 32),
    totp_secret bytea       NOT NULL,
    seal_key_id text        NOT NULL,
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL
);
CREATE INDEX activations_by_expiry ON activations (expire_time);
CREATE INDEX activations_by_seal_key ON activations (seal_key_id);
ALTER TABLE activations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON activations FOR ALL
    USING ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = activations.account_id))
    WITH CHECK ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = activations.account_id));
SELECT egov.allow_update('activations', 'code_digest', 'totp_secret', 'seal_key_id', 'create_time', 'expire_time');
SELECT egov.allow_delete('activations');


-- Leavers ---------------------------------------------------------------------------------------------------------------------
-- From `closing_day` on the account is closed; a job does it when the day begins.
ALTER TABLE accounts
    ADD COLUMN closing_day    date,
    ADD COLUMN closing_reason text NOT NULL DEFAULT '',
    ADD COLUMN closing_by     uuid;
SELECT egov.allow_update('accounts', 'closing_day', 'closing_reason', 'closing_by');
CREATE INDEX accounts_by_closing_day ON accounts (closing_day) WHERE closing_day IS NOT NULL AND disabled_time IS NULL;
