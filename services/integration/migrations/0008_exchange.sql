-- Trao đổi: what went through the door, recorded before it was forwarded and again when it was over.
--
-- Why two tables: a record is never changed. `exchanges` says that a call was about to be forwarded, `exchange_outcomes` how it
-- ended; one without the other is swept to the outcome "unknown".
-- Who sees what: both sides, by the unit that keeps each side's organisation, as with agreements. To go back: drop the tables.

-- Instances of the door, by their sign of life: what an instance that is gone has left open is swept.
CREATE TABLE door_instances (
    instance_id uuid        PRIMARY KEY,
    seen_time   timestamptz NOT NULL
);
SELECT egov.allow_update('door_instances', 'seen_time');
SELECT egov.allow_delete('door_instances');

CREATE TABLE exchanges (
    exchange_id              uuid        PRIMARY KEY,
    instance_id              uuid        NOT NULL,
    consumer_unit_id         int         NOT NULL,
    provider_unit_id         int         NOT NULL,
    consumer_organisation_id uuid        NOT NULL,
    provider_organisation_id uuid        NOT NULL,
    agreement_id             uuid        NOT NULL,
    agreement_version        bigint      NOT NULL,
    delegation_id            uuid,
    service_id               uuid        NOT NULL,
    client_id                text        NOT NULL,
    caller                   uuid        NOT NULL,
    on_behalf_of             uuid,
    method                   text        NOT NULL,
    purpose                  text,
    trace                    text,
    begin_time               timestamptz NOT NULL
);
CREATE INDEX exchanges_by_consumer ON exchanges (consumer_unit_id, begin_time DESC, exchange_id DESC);
CREATE INDEX exchanges_by_provider ON exchanges (provider_unit_id, begin_time DESC, exchange_id DESC);
CREATE INDEX exchanges_by_time ON exchanges (begin_time DESC, exchange_id DESC);
SELECT egov.append_only('exchanges');

-- Those that are not over: a row comes with the exchange and goes with its outcome, in their transactions. What is swept is found
-- here, however many exchanges there have been. No wall: ids and times alone.
CREATE TABLE open_exchanges (
    exchange_id uuid        PRIMARY KEY REFERENCES exchanges,
    instance_id uuid        NOT NULL,
    begin_time  timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000); -- its rows live for milliseconds
SELECT egov.allow_delete('open_exchanges');

-- Hashes are SHA-256 over what travelled (crates/door, Tally). `forwarded` and `received` stand only where an agreement's
-- predicates or mask made what was passed on another than what came.
CREATE TABLE exchange_outcomes (
    exchange_id         uuid        PRIMARY KEY REFERENCES exchanges,
    consumer_unit_id    int         NOT NULL,
    provider_unit_id    int         NOT NULL,
    outcome             text        NOT NULL CHECK (outcome IN ('answered', 'refused', 'not_sent', 'broken_off', 'cancelled', 'timed_out',
                                                                'agreement_ended', 'stopped', 'unknown')),
    status              int         NOT NULL,
    request_hash        bytea       NOT NULL CHECK (octet_length(request_hash) = 32),
    request_messages    bigint      NOT NULL,
    request_bytes       bigint      NOT NULL,
    forwarded_hash      bytea       CHECK (octet_length(forwarded_hash) = 32),
    response_hash       bytea       NOT NULL CHECK (octet_length(response_hash) = 32),
    response_messages   bigint      NOT NULL,
    response_bytes      bigint      NOT NULL,
    received_hash       bytea       CHECK (octet_length(received_hash) = 32),
    elapsed_us          bigint      NOT NULL,
    provider_us         bigint      NOT NULL,
    end_time            timestamptz NOT NULL
);
SELECT egov.append_only('exchange_outcomes');

-- Bodies, where the agreement says that they are kept: sealed, and deleted when their time is over.
CREATE TABLE exchange_bodies (
    exchange_id      uuid        NOT NULL REFERENCES exchanges,
    direction        text        NOT NULL CHECK (direction IN ('request', 'response')),
    consumer_unit_id int         NOT NULL,
    provider_unit_id int         NOT NULL,
    sealed           bytea       NOT NULL,
    expire_time      timestamptz NOT NULL,
    PRIMARY KEY (exchange_id, direction)
);
CREATE INDEX exchange_bodies_by_end ON exchange_bodies (expire_time);
SELECT egov.allow_delete('exchange_bodies');

DO $$
DECLARE
    held constant text := '(SELECT egov.scope_all()) OR consumer_unit_id = ANY((SELECT egov.scope())::integer[])'
                       || ' OR provider_unit_id = ANY((SELECT egov.scope())::integer[])';
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['exchanges', 'exchange_outcomes', 'exchange_bodies'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY sides ON %I FOR ALL USING (%s) WITH CHECK (%s)', target, held, held);
    END LOOP;
END
$$;
