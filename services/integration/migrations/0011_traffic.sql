-- Lưu lượng: what went through the door, summed up by the hour and by the day, so that a party sees its traffic of months without
-- reading single exchanges.
--
-- Each group commit of the journal adds what its batch sums up to as new rows of `traffic_pending`, in the transaction of the
-- outcomes: what was recorded is counted, once, and no two batches meet in a row. One holder of a lease takes these rows because
-- they are there, never because they are newer than the last, and adds them to `traffic` in one transaction. Who reads adds both.
--
-- Histograms: buckets of the domain (src/domain/traffic.rs) that have values, and how many each has; of the whole time and of the
-- time at the provider, in microseconds.
--
-- Who sees what: both sides, by the unit that keeps each side's organisation, as with exchanges. Expand only; exchanges of before
-- are not counted. To go back: drop the tables.

CREATE TABLE traffic_pending (
    pending_id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    start_time               timestamptz NOT NULL,
    agreement_id             uuid        NOT NULL,
    method                   text        NOT NULL,
    outcome                  text        NOT NULL,
    consumer_unit_id         int         NOT NULL,
    provider_unit_id         int         NOT NULL,
    service_id               uuid        NOT NULL,
    consumer_organisation_id uuid        NOT NULL,
    provider_organisation_id uuid        NOT NULL,
    calls                    bigint      NOT NULL,
    request_bytes            bigint      NOT NULL,
    response_bytes           bigint      NOT NULL,
    elapsed_max              bigint      NOT NULL,
    elapsed_buckets          smallint[]  NOT NULL,
    elapsed_counts           bigint[]    NOT NULL,
    provider_max             bigint      NOT NULL,
    provider_buckets         smallint[]  NOT NULL,
    provider_counts          bigint[]    NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000); -- its rows live for seconds
SELECT egov.allow_delete('traffic_pending');

CREATE TABLE traffic (
    grain                    text        NOT NULL CHECK (grain IN ('hour', 'day')),
    -- The first instant of the hour, or of the day in Việt Nam.
    start_time               timestamptz NOT NULL,
    agreement_id             uuid        NOT NULL,
    method                   text        NOT NULL,
    outcome                  text        NOT NULL,
    consumer_unit_id         int         NOT NULL,
    provider_unit_id         int         NOT NULL,
    service_id               uuid        NOT NULL,
    consumer_organisation_id uuid        NOT NULL,
    provider_organisation_id uuid        NOT NULL,
    calls                    bigint      NOT NULL,
    request_bytes            bigint      NOT NULL,
    response_bytes           bigint      NOT NULL,
    elapsed_max              bigint      NOT NULL,
    elapsed_buckets          smallint[]  NOT NULL,
    elapsed_counts           bigint[]    NOT NULL,
    provider_max             bigint      NOT NULL,
    provider_buckets         smallint[]  NOT NULL,
    provider_counts          bigint[]    NOT NULL,
    PRIMARY KEY (grain, start_time, agreement_id, method, outcome, consumer_unit_id, provider_unit_id, service_id,
                 consumer_organisation_id, provider_organisation_id)
) WITH (fillfactor = 80); -- the rows of the present hour and day are changed every few seconds
CREATE INDEX traffic_by_consumer ON traffic (consumer_unit_id, grain, start_time);
CREATE INDEX traffic_by_provider ON traffic (provider_unit_id, grain, start_time);
CREATE INDEX traffic_by_agreement ON traffic (agreement_id, grain, start_time);
SELECT egov.allow_update('traffic', 'calls', 'request_bytes', 'response_bytes', 'elapsed_max', 'elapsed_buckets', 'elapsed_counts',
                         'provider_max', 'provider_buckets', 'provider_counts');
SELECT egov.allow_delete('traffic');

DO $$
DECLARE
    held constant text := '(SELECT egov.scope_all()) OR consumer_unit_id = ANY((SELECT egov.scope())::integer[])'
                       || ' OR provider_unit_id = ANY((SELECT egov.scope())::integer[])';
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['traffic', 'traffic_pending'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
        EXECUTE format('CREATE POLICY sides ON %I FOR ALL USING (%s) WITH CHECK (%s)', target, held, held);
    END LOOP;
END
$$;
