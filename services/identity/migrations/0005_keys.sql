-- Keys: what was rotated and withdrawn, and what was revoked of whole kinds of callers.
--
-- Expand-only: new tables. The version before runs on this schema: it neither reads nor writes them, so it does not refuse what a
-- withdrawn key signed; the keyring, in which the key is withdrawn as well, it does follow. Roll-back: none needed.
--
-- No table here has a unit or an owner: they hold ids of keys, and acts upon everybody at once. They are reached through RPCs that
-- need identity.keys.manage over the whole province, and by the feed, which tells ids only.

-- Keys of tokens that were withdrawn (thu hồi khoá bị lộ): what they signed is void for ever, since whoever has the key can always
-- sign more. The row is also the lock between two administrators.
CREATE TABLE withdrawn_keys (
    key_id        text        PRIMARY KEY,
    withdraw_time timestamptz NOT NULL
);
SELECT egov.append_only('withdrawn_keys');

-- Who changed which key, and why.
CREATE TABLE key_changes (
    change_id      uuid        PRIMARY KEY,
    act            text        NOT NULL CHECK (act IN ('rotated', 'withdrawn')),
    purpose        text        NOT NULL,
    -- Rotated: the new key. Withdrawn: the compromised one.
    key_id         text        NOT NULL,
    -- What is used after the act.
    used_key_id    text        NOT NULL,
    reason         text        NOT NULL,
    actor_id       uuid        NOT NULL,
    record_time    timestamptz NOT NULL
);
SELECT egov.append_only('key_changes');

-- Until when every token of a kind of callers is void: a row a kind, the latest instant counts.
CREATE TABLE kind_revocations (
    caller_kind text        PRIMARY KEY CHECK (caller_kind IN ('staff', 'citizen', 'system')),
    not_after   timestamptz NOT NULL,
    expire_time timestamptz NOT NULL
);
SELECT egov.allow_update('kind_revocations', 'not_after', 'expire_time');

-- Who revoked whole kinds, and why (thu hồi hàng loạt).
CREATE TABLE mass_revocations (
    mass_revocation_id uuid        PRIMARY KEY,
    scope              text        NOT NULL,
    not_after          timestamptz NOT NULL,
    end_sessions       boolean     NOT NULL,
    sessions_ended     bigint      NOT NULL,
    reason             text        NOT NULL CHECK (reason <> ''),
    actor_id           uuid        NOT NULL,
    record_time        timestamptz NOT NULL
);
SELECT egov.append_only('mass_revocations');
