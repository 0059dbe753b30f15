-- Kết quả đến muộn: how an exchange ended of which the sweep said before that nobody knows.
--
-- Why: an instance of the door writes its records to its own disk first. If its machine is away for longer than the sweep waits, its
-- exchanges are swept to "unknown"; when it comes back it brings how they really ended, and the promises that its callers hold must be
-- kept. A record is never changed, so that the late one stands beside it, and is the one that counts.
-- `leaf_version`: the leaf of what a door saw has version 1, that of the sweep version 2; what was swept before this has version 1.
-- Expand only: an instance of before goes on writing, and sees "unknown" where there is a late outcome. To go back: drop both.

ALTER TABLE exchange_outcomes ADD COLUMN leaf_version bigint NOT NULL DEFAULT 1;

CREATE TABLE exchange_late_outcomes (
    exchange_id         uuid        PRIMARY KEY REFERENCES exchange_outcomes,
    consumer_unit_id    int         NOT NULL,
    provider_unit_id    int         NOT NULL,
    outcome             text        NOT NULL CHECK (outcome IN ('answered', 'refused', 'not_sent', 'broken_off', 'cancelled', 'timed_out',
                                                                'agreement_ended', 'stopped')),
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
SELECT egov.append_only('exchange_late_outcomes');

DO $$
DECLARE
    held constant text := '(SELECT egov.scope_all()) OR consumer_unit_id = ANY((SELECT egov.scope())::integer[])'
                       || ' OR provider_unit_id = ANY((SELECT egov.scope())::integer[])';
BEGIN
    ALTER TABLE exchange_late_outcomes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    EXECUTE format('CREATE POLICY sides ON exchange_late_outcomes FOR ALL USING (%s) WITH CHECK (%s)', held, held);
END
$$;
