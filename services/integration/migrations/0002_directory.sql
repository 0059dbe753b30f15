-- Danh bạ: organisations, their systems, the services they provide, the versions of their interfaces, their endpoints.
--
-- 0001 is the shared schema `egov` (crates/database/shared.sql). This file is expand-only; what a later migration replaces
-- is removed two releases later. To go back: drop the tables; nothing else refers to them but 0004.
--
-- Who sees what: the directory is a catalogue. Whoever may call the service reads all of it, because one cannot agree with
-- a provider that one cannot find; it holds no personal data. Whoever keeps an entry is the unit in responsible_unit_id, and
-- only within the caller's scope can a row be written. Hence an own pair of policies instead of egov.protect.

CREATE TABLE organisations (
    organisation_id     uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,
    name                text        NOT NULL,
    member_class        text        NOT NULL,
    member_code         text        NOT NULL,
    unit_id             int,
    contact             text        NOT NULL,
    state               text        NOT NULL CHECK (state IN ('active', 'suspended', 'closed')),
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    CONSTRAINT organisations_member UNIQUE (member_class, member_code)
);
SELECT egov.allow_update('organisations', 'name', 'member_class', 'member_code', 'unit_id', 'contact', 'state', 'version', 'update_time');

-- Mã định danh through time, of both generations (1: QCVN 102:2016, 2: QĐ 20/2020/QĐ-TTg).
CREATE TABLE organisation_codes (
    organisation_id     uuid NOT NULL REFERENCES organisations,
    responsible_unit_id int  NOT NULL,
    generation          int  NOT NULL CHECK (generation IN (1, 2)),
    code                text NOT NULL,
    valid_from          date NOT NULL,
    valid_to            date,
    PRIMARY KEY (organisation_id, generation, valid_from),
    CHECK (valid_to IS NULL OR valid_to > valid_from)
);
-- A code that is in use is one organisation's.
CREATE UNIQUE INDEX organisation_codes_in_use ON organisation_codes (code) WHERE valid_to IS NULL;
SELECT egov.allow_update('organisation_codes', 'valid_to');

CREATE TABLE systems (
    system_id           uuid        PRIMARY KEY,
    organisation_id     uuid        NOT NULL REFERENCES organisations,
    responsible_unit_id int         NOT NULL,
    name                text        NOT NULL,
    client_id           text        NOT NULL,
    subsystem_code      text        NOT NULL,
    state               text        NOT NULL CHECK (state IN ('active', 'suspended', 'closed')),
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    CONSTRAINT systems_client UNIQUE (client_id),
    CONSTRAINT systems_subsystem UNIQUE (organisation_id, subsystem_code)
);
CREATE INDEX systems_by_organisation ON systems (organisation_id, system_id);
SELECT egov.allow_update('systems', 'name', 'state', 'version', 'update_time');

CREATE TABLE system_certificates (
    certificate_id      uuid        PRIMARY KEY,
    system_id           uuid        NOT NULL REFERENCES systems,
    responsible_unit_id int         NOT NULL,
    thumbprint          text        NOT NULL,
    subject             text        NOT NULL,
    certificate         bytea       NOT NULL,
    not_before          timestamptz NOT NULL,
    not_after           timestamptz NOT NULL,
    create_time         timestamptz NOT NULL,
    withdraw_time       timestamptz,
    CONSTRAINT system_certificates_thumbprint UNIQUE (thumbprint)
);
CREATE INDEX system_certificates_by_system ON system_certificates (system_id, create_time, certificate_id);
SELECT egov.allow_update('system_certificates', 'withdraw_time');

CREATE TABLE signing_keys (
    organisation_id     uuid        NOT NULL REFERENCES organisations,
    key_id              text        NOT NULL,
    system_id           uuid        NOT NULL REFERENCES systems,
    responsible_unit_id int         NOT NULL,
    public_jwk          text        NOT NULL,
    valid_from          timestamptz NOT NULL,
    valid_to            timestamptz NOT NULL,
    create_time         timestamptz NOT NULL,
    withdraw_time       timestamptz,
    CONSTRAINT signing_keys_id PRIMARY KEY (organisation_id, key_id),
    CHECK (valid_to > valid_from)
);
CREATE INDEX signing_keys_by_system ON signing_keys (system_id, create_time, key_id);
SELECT egov.allow_update('signing_keys', 'withdraw_time');

CREATE TABLE services (
    service_id          uuid        PRIMARY KEY,
    system_id           uuid        NOT NULL REFERENCES systems,
    organisation_id     uuid        NOT NULL REFERENCES organisations,
    responsible_unit_id int         NOT NULL,
    code                text        NOT NULL,
    title               text        NOT NULL,
    kind                text        NOT NULL CHECK (kind IN ('grpc', 'openapi')),
    state               text        NOT NULL CHECK (state IN ('active', 'deprecated', 'closed')),
    interface_version   bigint      NOT NULL CHECK (interface_version >= 0),
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    CONSTRAINT services_code UNIQUE (system_id, code)
);
SELECT egov.allow_update('services', 'title', 'state', 'interface_version', 'version', 'update_time');

-- A version of an interface never changes: agreements rest on it.
CREATE TABLE interfaces (
    service_id          uuid        NOT NULL REFERENCES services,
    interface_version   bigint      NOT NULL CHECK (interface_version >= 1),
    responsible_unit_id int         NOT NULL,
    kind                text        NOT NULL CHECK (kind IN ('grpc', 'openapi')),
    document            bytea       NOT NULL,
    sha256              bytea       NOT NULL CHECK (octet_length(sha256) = 32),
    methods             text[]      NOT NULL,
    breaking            jsonb       NOT NULL,
    breaking_reason     text        NOT NULL,
    actor               text        NOT NULL,
    create_time         timestamptz NOT NULL,
    PRIMARY KEY (service_id, interface_version)
);
SELECT egov.append_only('interfaces');

CREATE TABLE endpoints (
    endpoint_id         uuid        PRIMARY KEY,
    service_id          uuid        NOT NULL REFERENCES services,
    responsible_unit_id int         NOT NULL,
    url                 text        NOT NULL,
    health_path         text        NOT NULL,
    weight              int         NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    state               text        NOT NULL CHECK (state IN ('active', 'maintenance', 'draining', 'removed')),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL
);
CREATE INDEX endpoints_by_service ON endpoints (service_id, create_time, endpoint_id);
SELECT egov.allow_update('endpoints', 'weight', 'state', 'update_time');

-- How an endpoint was last seen. It is an observation, not a record: overwritten, without history.
CREATE TABLE endpoint_health (
    endpoint_id         uuid        PRIMARY KEY REFERENCES endpoints,
    responsible_unit_id int         NOT NULL,
    healthy             boolean     NOT NULL,
    detail              text        NOT NULL,
    latency_ms          int         NOT NULL,
    check_time          timestamptz NOT NULL
);
SELECT egov.allow_update('endpoint_health', 'healthy', 'detail', 'latency_ms', 'check_time');

-- What became of each organisation, system and service, with the whole entry as it was after the change.
CREATE TABLE directory_history (
    resource_id         uuid        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    responsible_unit_id int         NOT NULL,
    kind                text        NOT NULL,
    change              text        NOT NULL,
    reason              text        NOT NULL,
    actor               text        NOT NULL,
    record_time         timestamptz NOT NULL,
    document            jsonb       NOT NULL,
    PRIMARY KEY (resource_id, version)
);
SELECT egov.append_only('directory_history');

DO $$
DECLARE
    held constant text := '(SELECT egov.scope_all()) OR responsible_unit_id = ANY((SELECT egov.scope())::integer[])';
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['organisations', 'organisation_codes', 'systems', 'system_certificates', 'signing_keys', 'services',
                                  'interfaces', 'endpoints', 'endpoint_health', 'directory_history'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY catalogue ON %I FOR SELECT USING (true)', target);
        EXECUTE format('CREATE POLICY kept_new ON %I FOR INSERT WITH CHECK (%s)', target, held);
        EXECUTE format('CREATE POLICY kept ON %I FOR UPDATE USING (%s) WITH CHECK (%s)', target, held, held);
    END LOOP;
END
$$;
