-- Events (sự kiện): what the PostgreSQL store of crates/events keeps. The service's migration begins with this text, word for
-- word; a test compares the two.
--
-- None of these tables carries a unit: who may publish, subscribe and look is decided by the service's own tables of topics
-- and subscriptions, which stand behind row-level security, before the store is asked. Events carry ids, codes and states,
-- never personal data.
--
-- Roll-back: drop the tables and functions; nothing else refers to them.

-- Where each topic ends. Whoever publishes locks its topic's row until the commit, so that offsets become visible in their
-- order and without gaps: a reader never passes by an event that is committed later.
CREATE TABLE event_heads (
    topic_id    uuid        PRIMARY KEY,
    next_offset bigint      NOT NULL DEFAULT 0,
    kept_bytes  bigint      NOT NULL DEFAULT 0,
    last_time   timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
SELECT egov.allow_update('event_heads', 'next_offset', 'kept_bytes', 'last_time');

CREATE TABLE event_records (
    topic_id      uuid        NOT NULL,
    log_offset    bigint      NOT NULL,
    -- The first half of SHA-256 over source and id: the same event is stored once, for as long as it is kept.
    dedupe        uuid        NOT NULL,
    kind          text        NOT NULL,
    partition_key text,
    content       bytea       NOT NULL,
    publish_time  timestamptz NOT NULL,
    PRIMARY KEY (topic_id, log_offset)
);
CREATE UNIQUE INDEX event_records_once ON event_records (topic_id, dedupe);
CREATE INDEX event_records_time ON event_records (topic_id, publish_time);
SELECT egov.allow_delete('event_records'); -- retention

-- How far each subscription has come. Its row is locked by whoever fetches for it.
CREATE TABLE event_consumers (
    subscription_id uuid   PRIMARY KEY,
    topic_id        uuid   NOT NULL REFERENCES event_heads,
    next_offset     bigint NOT NULL
) WITH (fillfactor = 50);
SELECT egov.allow_update('event_consumers', 'next_offset');
SELECT egov.allow_delete('event_consumers');

-- What is under way to a subscription or waits for an earlier event of its key: never more than the subscription's limit.
CREATE TABLE event_deliveries (
    subscription_id uuid        NOT NULL REFERENCES event_consumers ON DELETE CASCADE,
    log_offset      bigint      NOT NULL,
    partition_key   text,
    attempt         integer     NOT NULL,
    due_time        timestamptz NOT NULL,
    cause           text        NOT NULL DEFAULT '',
    -- Of a dead letter that was sent out again: the log may not have it any more.
    content         bytea,
    publish_time    timestamptz,
    PRIMARY KEY (subscription_id, log_offset)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX event_deliveries_key ON event_deliveries (subscription_id, partition_key, log_offset)
    WHERE partition_key IS NOT NULL;
SELECT egov.allow_update('event_deliveries', 'attempt', 'due_time', 'cause');
SELECT egov.allow_delete('event_deliveries');

CREATE TABLE event_dead_letters (
    subscription_id uuid        NOT NULL REFERENCES event_consumers ON DELETE CASCADE,
    log_offset      bigint      NOT NULL,
    partition_key   text,
    attempts        integer     NOT NULL,
    cause           text        NOT NULL,
    content         bytea       NOT NULL,
    publish_time    timestamptz NOT NULL,
    dead_time       timestamptz NOT NULL,
    PRIMARY KEY (subscription_id, log_offset)
);
SELECT egov.allow_delete('event_dead_letters');

-- Stores events behind the ends of their topics; one row for each that was given, in their order. No offset: no such topic.
CREATE FUNCTION publish_events(
    at timestamptz, topics uuid[], dedupes uuid[], kinds text[], keys text[], contents bytea[]
) RETURNS TABLE (place bigint, log_offset bigint, duplicate boolean)
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM 1 FROM event_heads h WHERE h.topic_id = ANY (topics) ORDER BY h.topic_id FOR UPDATE;
    -- A statement of its own, so that it sees what was committed while the locks were awaited.
    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT g.*,
               (SELECT r.log_offset FROM event_records r
                WHERE r.topic_id = g.topic_id AND r.dedupe = g.dedupe) AS known
        FROM unnest(topics, dedupes, kinds, keys, contents)
             WITH ORDINALITY AS g (topic_id, dedupe, kind, partition_key, content, place)
    ), fresh AS (
        SELECT DISTINCT ON (g.topic_id, g.dedupe) g.* FROM given g WHERE g.known IS NULL
        ORDER BY g.topic_id, g.dedupe, g.place
    ), placed AS MATERIALIZED (
        SELECT f.*, h.next_offset - 1 + row_number() OVER (PARTITION BY f.topic_id ORDER BY f.place) AS new_offset,
               greatest(at, h.last_time) AS publish_time
        FROM fresh f JOIN event_heads h ON h.topic_id = f.topic_id
    ), stored AS (
        INSERT INTO event_records (topic_id, log_offset, dedupe, kind, partition_key, content, publish_time)
        SELECT p.topic_id, p.new_offset, p.dedupe, p.kind, p.partition_key, p.content, p.publish_time FROM placed p
        ORDER BY p.topic_id, p.new_offset
    ), moved AS (
        UPDATE event_heads h
        SET next_offset = h.next_offset + s.events, kept_bytes = h.kept_bytes + s.size, last_time = s.latest
        FROM (SELECT p.topic_id, count(*) AS events, sum(octet_length(p.content)) AS size, max(p.publish_time) AS latest
              FROM placed p GROUP BY p.topic_id) AS s
        WHERE h.topic_id = s.topic_id
    )
    SELECT g.place, coalesce(g.known, p.new_offset), p.place IS DISTINCT FROM g.place
    FROM given g LEFT JOIN placed p ON p.topic_id = g.topic_id AND p.dedupe = g.dedupe
    ORDER BY g.place;
END
$$;
SELECT egov.allow_execute('publish_events(timestamptz, uuid[], uuid[], text[], text[], bytea[])');

-- Whether a fetch would find something. Looking costs nothing; fetching locks and writes.
CREATE FUNCTION events_due(of_subscription uuid, at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = public, pg_temp
    AS $$
    SELECT EXISTS (SELECT 1 FROM event_deliveries d WHERE d.subscription_id = of_subscription AND d.due_time <= at)
        OR EXISTS (SELECT 1 FROM event_consumers c
                   JOIN event_heads h ON h.topic_id = c.topic_id AND h.next_offset > c.next_offset
                   WHERE c.subscription_id = of_subscription)
$$;
SELECT egov.allow_execute('events_due(uuid, timestamptz)');

-- Fetches for a subscription: gives up what was delivered too often, takes up to `room_for` events under way, and hands out
-- those that are due, only the first of each key. Returns NULL as its topic if there is no such subscription.
CREATE FUNCTION pull_events(
    of_subscription uuid, at timestamptz, at_most bigint, room_for bigint, again_after interval, give_up_after integer,
    wanted text[]
) RETURNS TABLE (log_offset bigint, attempt integer, content bytea, publish_time timestamptz)
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    of_topic uuid;
    start bigint;
    room bigint;
BEGIN
    SELECT c.topic_id, c.next_offset INTO of_topic, start
    FROM event_consumers c WHERE c.subscription_id = of_subscription FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no subscription %', of_subscription USING ERRCODE = 'EG003';
    END IF;
    PERFORM bury_events(of_subscription, at, give_up_after);
    SELECT room_for - count(*) INTO room FROM event_deliveries d WHERE d.subscription_id = of_subscription;
    IF room > 0 THEN
        WITH ahead AS (
            SELECT r.log_offset, r.partition_key, wanted = '{}' OR r.kind = ANY (wanted) AS fits
            FROM event_records r
            WHERE r.topic_id = of_topic AND r.log_offset >= start
            ORDER BY r.log_offset
            LIMIT CASE WHEN wanted = '{}' THEN room ELSE greatest(room, 1000) END
        ), counted AS (
            SELECT a.*, count(*) FILTER (WHERE a.fits) OVER (ORDER BY a.log_offset) AS nth FROM ahead a
        ), taken AS (
            SELECT c.* FROM counted c WHERE c.nth <= room
        ), added AS (
            INSERT INTO event_deliveries (subscription_id, log_offset, partition_key, attempt, due_time)
            SELECT of_subscription, t.log_offset, t.partition_key, 0, '-infinity' FROM taken t WHERE t.fits
            ON CONFLICT DO NOTHING
        )
        UPDATE event_consumers c SET next_offset = t.last + 1
        FROM (SELECT max(t.log_offset) AS last FROM taken t) AS t
        WHERE c.subscription_id = of_subscription AND t.last IS NOT NULL;
    END IF;
    RETURN QUERY
    WITH due AS MATERIALIZED (
        SELECT d.log_offset FROM event_deliveries d
        WHERE d.subscription_id = of_subscription AND d.due_time <= at
          AND (d.partition_key IS NULL OR NOT EXISTS (
              SELECT 1 FROM event_deliveries e
              WHERE e.subscription_id = of_subscription AND e.partition_key = d.partition_key
                AND e.log_offset < d.log_offset))
        ORDER BY d.log_offset LIMIT at_most
    ), leased AS (
        UPDATE event_deliveries d SET attempt = d.attempt + 1, due_time = at + again_after
        WHERE d.subscription_id = of_subscription AND d.log_offset = ANY (ARRAY(SELECT due.log_offset FROM due))
        RETURNING d.log_offset, d.attempt, d.content, d.publish_time
    )
    SELECT l.log_offset, l.attempt,
           coalesce(l.content, (SELECT r.content FROM event_records r
                                WHERE r.topic_id = of_topic AND r.log_offset = l.log_offset)),
           coalesce(l.publish_time, (SELECT r.publish_time FROM event_records r
                                     WHERE r.topic_id = of_topic AND r.log_offset = l.log_offset))
    FROM leased l ORDER BY l.log_offset;
END
$$;

-- Moves to the dead letters what is due again and was delivered as often as it may be.
CREATE FUNCTION bury_events(of_subscription uuid, at timestamptz, give_up_after integer) RETURNS bigint
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
DECLARE
    buried bigint;
BEGIN
    WITH dead AS (
        DELETE FROM event_deliveries d
        WHERE d.subscription_id = of_subscription AND d.due_time <= at AND d.attempt >= give_up_after
        RETURNING d.*
    )
    INSERT INTO event_dead_letters
        (subscription_id, log_offset, partition_key, attempts, cause, content, publish_time, dead_time)
    SELECT d.subscription_id, d.log_offset, d.partition_key, d.attempt,
           CASE WHEN d.cause = '' THEN 'not acknowledged in time' ELSE d.cause END,
           coalesce(d.content, r.content), coalesce(d.publish_time, r.publish_time), at
    FROM dead d
    JOIN event_consumers c ON c.subscription_id = d.subscription_id
    LEFT JOIN event_records r ON r.topic_id = c.topic_id AND r.log_offset = d.log_offset
    WHERE coalesce(d.content, r.content) IS NOT NULL
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS buried = ROW_COUNT;
    RETURN buried;
END
$$;
SELECT egov.allow_execute('bury_events(uuid, timestamptz, integer)');
SELECT egov.allow_execute('pull_events(uuid, timestamptz, bigint, bigint, interval, integer, text[])');

-- Acknowledges, and puts off what was rejected: only the present attempt can be rejected, any can be acknowledged.
CREATE FUNCTION settle_events(
    of_subscription uuid, at timestamptz, give_up_after integer,
    acknowledged bigint[], rejected bigint[], attempts integer[], again timestamptz[], causes text[]
) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
BEGIN
    DELETE FROM event_deliveries d WHERE d.subscription_id = of_subscription AND d.log_offset = ANY (acknowledged);
    IF cardinality(rejected) > 0 THEN
        UPDATE event_deliveries d
        SET due_time = CASE WHEN d.attempt >= give_up_after THEN at ELSE n.again END, cause = n.cause
        FROM unnest(rejected, attempts, again, causes) AS n (log_offset, attempt, again, cause)
        WHERE d.subscription_id = of_subscription AND d.log_offset = n.log_offset AND d.attempt = n.attempt;
        PERFORM bury_events(of_subscription, at, give_up_after);
    END IF;
END
$$;
SELECT egov.allow_execute('settle_events(uuid, timestamptz, integer, bigint[], bigint[], integer[], timestamptz[], text[])');

-- Sends dead letters out again, all if no offsets are given; returns how many.
CREATE FUNCTION redrive_events(of_subscription uuid, offsets bigint[]) RETURNS bigint
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
DECLARE
    redriven bigint;
BEGIN
    WITH risen AS (
        DELETE FROM event_dead_letters l
        WHERE l.subscription_id = of_subscription AND (offsets IS NULL OR l.log_offset = ANY (offsets))
        RETURNING l.*
    )
    INSERT INTO event_deliveries
        (subscription_id, log_offset, partition_key, attempt, due_time, content, publish_time)
    SELECT r.subscription_id, r.log_offset, r.partition_key, 0, '-infinity', r.content, r.publish_time FROM risen r
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS redriven = ROW_COUNT;
    RETURN redriven;
END
$$;
SELECT egov.allow_execute('redrive_events(uuid, bigint[])');

-- Drops the oldest events of a topic that are older than `before`, or beyond the bytes that are kept; returns how many.
CREATE FUNCTION sweep_events(of_topic uuid, before timestamptz, keep_bytes bigint, at_most bigint) RETURNS bigint
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
DECLARE
    kept bigint;
    last bigint;
    swept bigint;
    freed bigint;
BEGIN
    SELECT h.kept_bytes INTO kept FROM event_heads h WHERE h.topic_id = of_topic FOR UPDATE;
    SELECT max(o.log_offset) INTO last
    FROM (SELECT r.log_offset, r.publish_time, octet_length(r.content) AS size,
                 sum(octet_length(r.content)) OVER (ORDER BY r.log_offset) AS gone
          FROM (SELECT * FROM event_records r WHERE r.topic_id = of_topic ORDER BY r.log_offset LIMIT at_most) AS r) AS o
    WHERE o.publish_time < before OR kept - (o.gone - o.size) > keep_bytes;
    IF last IS NULL THEN
        RETURN 0;
    END IF;
    WITH doomed AS (
        DELETE FROM event_records r WHERE r.topic_id = of_topic AND r.log_offset <= last
        RETURNING octet_length(r.content) AS size
    )
    SELECT count(*), coalesce(sum(size), 0) INTO swept, freed FROM doomed;
    UPDATE event_heads SET kept_bytes = kept_bytes - freed WHERE topic_id = of_topic;
    DELETE FROM event_deliveries d USING event_consumers c
    WHERE c.topic_id = of_topic AND d.subscription_id = c.subscription_id AND d.log_offset <= last AND d.content IS NULL;
    RETURN swept;
END
$$;
SELECT egov.allow_execute('sweep_events(uuid, timestamptz, bigint, bigint)');
