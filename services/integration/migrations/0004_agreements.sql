-- Thỏa thuận chia sẻ dữ liệu: agreements of two sides, their versions, signatures, delegations, and the feed of permits.
--
-- Who sees what: both sides, by the unit that keeps each side's organisation; so the policies name two units (three where
-- somebody else may call by delegation). To go back: drop the tables.

CREATE TABLE agreements (
    agreement_id             uuid        PRIMARY KEY,
    consumer_unit_id         int         NOT NULL,
    provider_unit_id         int         NOT NULL,
    consumer_organisation_id uuid        NOT NULL REFERENCES organisations,
    consumer_system_id       uuid        NOT NULL REFERENCES systems,
    provider_organisation_id uuid        NOT NULL REFERENCES organisations,
    provider_system_id       uuid        NOT NULL REFERENCES systems,
    service_id               uuid        NOT NULL REFERENCES services,
    -- What somebody decided about the whole; where it stands beyond that follows from versions, signatures and dates.
    status                   text        NOT NULL CHECK (status IN ('open', 'suspended', 'revoked', 'expired')),
    suspended_by             text        CHECK (suspended_by IN ('consumer', 'provider', 'administrator')),
    end_reason               text        NOT NULL,
    latest_version           bigint      NOT NULL CHECK (latest_version >= 1),
    version                  bigint      NOT NULL CHECK (version >= 1),
    create_time              timestamptz NOT NULL,
    update_time              timestamptz NOT NULL,
    CHECK ((status = 'suspended') = (suspended_by IS NOT NULL))
);
CREATE INDEX agreements_by_consumer ON agreements (consumer_system_id, agreement_id);
CREATE INDEX agreements_by_provider ON agreements (provider_system_id, agreement_id);
CREATE INDEX agreements_by_service ON agreements (service_id, agreement_id);
CREATE INDEX agreements_by_consumer_unit ON agreements (consumer_unit_id, agreement_id);
CREATE INDEX agreements_by_provider_unit ON agreements (provider_unit_id, agreement_id);
SELECT egov.allow_update('agreements', 'status', 'suspended_by', 'end_reason', 'latest_version', 'version', 'update_time');

-- What is signed never changes: `canonical` (RFC 8785). When it is in force is set once both have signed, and its end is
-- brought forward when a later version takes its place.
CREATE TABLE agreement_versions (
    agreement_id      uuid        NOT NULL REFERENCES agreements,
    agreement_version bigint      NOT NULL CHECK (agreement_version >= 1),
    consumer_unit_id  int         NOT NULL,
    provider_unit_id  int         NOT NULL,
    terms             jsonb       NOT NULL,
    canonical         text        NOT NULL,
    offer_time        timestamptz,
    effective_from    timestamptz,
    effective_to      timestamptz,
    create_time       timestamptz NOT NULL,
    PRIMARY KEY (agreement_id, agreement_version),
    CHECK ((effective_from IS NULL) = (effective_to IS NULL))
);
CREATE INDEX agreement_versions_by_end ON agreement_versions (effective_to, agreement_id) WHERE effective_to IS NOT NULL;
SELECT egov.allow_update('agreement_versions', 'offer_time', 'effective_from', 'effective_to');

CREATE TABLE agreement_signatures (
    agreement_id      uuid        NOT NULL,
    agreement_version bigint      NOT NULL,
    side              text        NOT NULL CHECK (side IN ('consumer', 'provider')),
    consumer_unit_id  int         NOT NULL,
    provider_unit_id  int         NOT NULL,
    key_id            text        NOT NULL,
    jws               text        NOT NULL,
    actor             text        NOT NULL,
    sign_time         timestamptz NOT NULL,
    PRIMARY KEY (agreement_id, agreement_version, side),
    FOREIGN KEY (agreement_id, agreement_version) REFERENCES agreement_versions
);
SELECT egov.append_only('agreement_signatures');

-- Ủy quyền khai thác. The unit of whoever may call sees its delegation as well.
CREATE TABLE agreement_delegations (
    delegation_id     uuid        PRIMARY KEY,
    agreement_id      uuid        NOT NULL REFERENCES agreements,
    consumer_unit_id  int         NOT NULL,
    provider_unit_id  int         NOT NULL,
    delegate_unit_id  int         NOT NULL,
    system_id         uuid        NOT NULL REFERENCES systems,
    methods           text[]      NOT NULL,
    valid_from        timestamptz NOT NULL,
    valid_to          timestamptz NOT NULL,
    end_time          timestamptz,
    create_time       timestamptz NOT NULL,
    CHECK (valid_to > valid_from)
);
CREATE INDEX agreement_delegations_by_agreement ON agreement_delegations (agreement_id, create_time, delegation_id);
CREATE INDEX agreement_delegations_by_system ON agreement_delegations (system_id, agreement_id);
SELECT egov.allow_update('agreement_delegations', 'end_time');

CREATE TABLE agreement_history (
    agreement_id      uuid        NOT NULL REFERENCES agreements,
    version           bigint      NOT NULL CHECK (version >= 1),
    consumer_unit_id  int         NOT NULL,
    provider_unit_id  int         NOT NULL,
    change            text        NOT NULL,
    state             text        NOT NULL,
    agreement_version bigint      NOT NULL,
    reason            text        NOT NULL,
    actor             text        NOT NULL,
    record_time       timestamptz NOT NULL,
    PRIMARY KEY (agreement_id, version)
);
SELECT egov.append_only('agreement_history');

DO $$
DECLARE
    held constant text := '(SELECT egov.scope_all()) OR consumer_unit_id = ANY((SELECT egov.scope())::integer[])'
                       || ' OR provider_unit_id = ANY((SELECT egov.scope())::integer[])';
    more text;
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['agreements', 'agreement_versions', 'agreement_signatures', 'agreement_delegations', 'agreement_history'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
        more := CASE target WHEN 'agreement_delegations' THEN ' OR delegate_unit_id = ANY((SELECT egov.scope())::integer[])' ELSE '' END;
        EXECUTE format('CREATE POLICY sides ON %I FOR ALL USING (%s) WITH CHECK (%s)', target, held || more, held || more);
    END LOOP;
END
$$;

-- The feed of permits: the place of each agreement's last change. The counter is taken as the last thing of a transaction
-- and held until its commit, so that nothing ever appears before a place that was read. No wall: ids and numbers; whoever
-- reads them reads the agreements themselves under theirs.
CREATE TABLE permit_feed (
    only_row boolean PRIMARY KEY CHECK (only_row),
    position bigint  NOT NULL
);
INSERT INTO permit_feed VALUES (true, 0);
SELECT egov.allow_update('permit_feed', 'position');

CREATE TABLE permit_changes (
    agreement_id uuid   PRIMARY KEY REFERENCES agreements,
    position     bigint NOT NULL UNIQUE
);
SELECT egov.allow_update('permit_changes', 'position');

-- How often which granted field of a response left, a day; the empty field is the call itself. No wall: counts without a
-- word of what was read; they are read for an agreement that the caller sees.
CREATE TABLE agreement_field_use (
    agreement_id uuid   NOT NULL REFERENCES agreements,
    method       text   NOT NULL,
    field        text   NOT NULL,
    day          date   NOT NULL,
    uses         bigint NOT NULL CHECK (uses > 0),
    PRIMARY KEY (agreement_id, method, field, day)
);
SELECT egov.allow_update('agreement_field_use', 'uses');
