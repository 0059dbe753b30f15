-- The schema `egov`, version 3: the inbox of a receiver of events, and how far each follower has come.
--
-- Each service copies this file unchanged as a migration (`migrations/…_inbox.sql`); a test of the service compares the two.
--
-- Roll-back: none needed. The version before does not know these tables.

CREATE OR REPLACE FUNCTION egov.shared_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 3 $$;

-- Which events a consumer has applied: written in the transaction of their effects, so that both are there or neither.
CREATE TABLE egov.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    apply_time timestamptz NOT NULL,
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_time ON egov.inbox (apply_time);

-- Those of the events that this consumer had not applied before, in the order given. A second transaction with the same event
-- waits here until the first has committed (then it is not new) or rolled back (then it is).
CREATE FUNCTION egov.first_times(of_consumer text, of_events uuid[], at timestamptz) RETURNS uuid[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    fresh uuid[];
BEGIN
    -- In one order for everybody: two batches with the same events must not wait for each other.
    WITH added AS (
        INSERT INTO egov.inbox (consumer, event_id, apply_time)
        SELECT of_consumer, e.event_id, at
        FROM (SELECT DISTINCT u.event_id FROM unnest(of_events) AS u (event_id)) AS e ORDER BY e.event_id
        ON CONFLICT DO NOTHING
        RETURNING event_id
    )
    SELECT coalesce(array_agg(g.event_id ORDER BY g.place), '{}') INTO fresh
    FROM (SELECT DISTINCT ON (u.event_id) u.event_id, u.place
          FROM unnest(of_events) WITH ORDINALITY AS u (event_id, place) ORDER BY u.event_id, u.place) AS g
    JOIN added a ON a.event_id = g.event_id;
    RETURN fresh;
END
$$;

-- Forgets what was applied before an instant, at most so many; returns how many. It must lie before everything that can still
-- be delivered again.
CREATE FUNCTION egov.forget_applied(before timestamptz, at_most bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    forgotten bigint;
BEGIN
    DELETE FROM egov.inbox WHERE ctid = ANY (ARRAY(
        SELECT i.ctid FROM egov.inbox i WHERE i.apply_time < before ORDER BY i.apply_time LIMIT at_most));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

-- How far each follower of this database's own log has come.
CREATE TABLE egov.followers (
    follower text PRIMARY KEY,
    epoch integer NOT NULL,
    log_offset bigint NOT NULL
) WITH (fillfactor = 50);

-- Moves a follower on; never back.
CREATE FUNCTION egov.follow_to(name text, to_epoch integer, to_offset bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
    INSERT INTO egov.followers AS f (follower, epoch, log_offset) VALUES (name, to_epoch, to_offset)
    ON CONFLICT (follower) DO UPDATE SET epoch = excluded.epoch, log_offset = excluded.log_offset
    WHERE (f.epoch, f.log_offset) < (excluded.epoch, excluded.log_offset)
$$;

-- How many events of the log lie behind a follower's place; beyond a hundred thousand nobody counts.
CREATE FUNCTION egov.follower_lag(name text) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
    SELECT count(*) FROM (
        SELECT 1 FROM egov.event_log l
        WHERE (l.epoch, l.log_offset) > (
            coalesce((SELECT f.epoch FROM egov.followers f WHERE f.follower = name), 0),
            coalesce((SELECT f.log_offset FROM egov.followers f WHERE f.follower = name), -1))
        LIMIT 100000) AS ahead
$$;

DO $grants$
BEGIN
    EXECUTE format('GRANT SELECT ON egov.inbox, egov.followers TO %I', egov.app_role());
    EXECUTE format('GRANT EXECUTE ON FUNCTION egov.first_times(text, uuid[], timestamptz),
        egov.forget_applied(timestamptz, bigint), egov.follow_to(text, integer, bigint), egov.follower_lag(text),
        egov.shared_version() TO %I', egov.app_role());
END
$grants$;
