-- Events, second part: batches bounded by bytes; dead letters meant until an instant; what retention took before it was acknowledged;
-- settling that waits for retention and fetching.
--
-- The service's migration begins with this text, word for word; a test compares the two. The functions of before stay for
-- processes of the version before. Roll-back: drop the functions and columns of this file, but for settle_events, which may stay.

-- What a subscription did not get, because it was dropped by age or size: how many events, and the first and last of them.
ALTER TABLE event_consumers
    ADD COLUMN missed bigint NOT NULL DEFAULT 0,
    ADD COLUMN first_missed bigint,
    ADD COLUMN last_missed bigint;
SELECT egov.allow_update('event_consumers', 'missed', 'first_missed', 'last_missed');

-- As before, with a bound by bytes: what is handed out is at most so large, but for a single event that is larger by itself.
CREATE FUNCTION pull_events(
    of_subscription uuid, at timestamptz, at_most bigint, at_most_bytes bigint, room_for bigint, again_after interval,
    give_up_after integer, wanted text[]
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
        SELECT d.log_offset,
               coalesce(octet_length(d.content), (SELECT octet_length(r.content) FROM event_records r
                                                  WHERE r.topic_id = of_topic AND r.log_offset = d.log_offset), 0) AS size
        FROM event_deliveries d
        WHERE d.subscription_id = of_subscription AND d.due_time <= at
          AND (d.partition_key IS NULL OR NOT EXISTS (
              SELECT 1 FROM event_deliveries e
              WHERE e.subscription_id = of_subscription AND e.partition_key = d.partition_key
                AND e.log_offset < d.log_offset))
        ORDER BY d.log_offset LIMIT at_most
    ), fitting AS (
        SELECT s.log_offset
        FROM (SELECT u.log_offset, u.size, sum(u.size) OVER (ORDER BY u.log_offset) AS size_so_far FROM due u) AS s
        WHERE s.size_so_far <= at_most_bytes OR s.size_so_far = s.size
    ), leased AS (
        UPDATE event_deliveries d SET attempt = d.attempt + 1, due_time = at + again_after
        WHERE d.subscription_id = of_subscription AND d.log_offset = ANY (ARRAY(SELECT fitting.log_offset FROM fitting))
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
SELECT egov.allow_execute('pull_events(uuid, timestamptz, bigint, bigint, bigint, interval, integer, text[])');

-- Sends dead letters out again: those with these offsets, or, without offsets, those that were given up until an instant; returns
-- how many.
CREATE FUNCTION redrive_events(of_subscription uuid, offsets bigint[], until timestamptz) RETURNS bigint
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
DECLARE
    redriven bigint;
BEGIN
    WITH risen AS (
        DELETE FROM event_dead_letters l
        WHERE l.subscription_id = of_subscription AND (l.log_offset = ANY (offsets) OR l.dead_time <= until)
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
SELECT egov.allow_execute('redrive_events(uuid, bigint[], timestamptz)');

-- Drops the oldest events of a topic that are older than `before`, or beyond the bytes that are kept, and counts for each
-- subscription those that it had not acknowledged. A row without subscription says how many were dropped; the others what each
-- subscription missed now, and where the first and last of it lay.
CREATE FUNCTION retain_events(of_topic uuid, before timestamptz, keep_bytes bigint, at_most bigint)
    RETURNS TABLE (subscription_id uuid, events bigint, first_offset bigint, last_offset bigint)
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
#variable_conflict use_column
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
        RETURN QUERY SELECT NULL::uuid, 0::bigint, NULL::bigint, NULL::bigint;
        RETURN;
    END IF;
    -- Nobody fetches meanwhile: what is counted as not fetched is not fetched. The next statement sees what was committed before.
    PERFORM 1 FROM event_consumers c WHERE c.topic_id = of_topic ORDER BY c.subscription_id FOR UPDATE;
    RETURN QUERY
    WITH dropped AS (
        DELETE FROM event_deliveries d USING event_consumers c
        WHERE c.topic_id = of_topic AND d.subscription_id = c.subscription_id AND d.log_offset <= last AND d.content IS NULL
        RETURNING d.subscription_id, d.log_offset
    ), lost AS (
        SELECT d.subscription_id, d.log_offset FROM dropped d
        UNION ALL
        SELECT c.subscription_id, r.log_offset
        FROM event_consumers c
        JOIN event_records r ON r.topic_id = of_topic AND r.log_offset >= c.next_offset AND r.log_offset <= last
        WHERE c.topic_id = of_topic
    ), counted AS (
        SELECT l.subscription_id, count(*) AS events, min(l.log_offset) AS first_offset, max(l.log_offset) AS last_offset
        FROM lost l GROUP BY l.subscription_id
    ), told AS (
        UPDATE event_consumers c
        SET missed = c.missed + n.events, first_missed = coalesce(c.first_missed, n.first_offset), last_missed = n.last_offset
        FROM counted n WHERE c.subscription_id = n.subscription_id
    )
    SELECT n.subscription_id, n.events, n.first_offset, n.last_offset FROM counted n;
    WITH doomed AS (
        DELETE FROM event_records r WHERE r.topic_id = of_topic AND r.log_offset <= last
        RETURNING octet_length(r.content) AS size
    )
    SELECT count(*), coalesce(sum(size), 0) INTO swept, freed FROM doomed;
    UPDATE event_heads SET kept_bytes = kept_bytes - freed WHERE topic_id = of_topic;
    RETURN QUERY SELECT NULL::uuid, swept, NULL::bigint, NULL::bigint;
END
$$;
SELECT egov.allow_execute('retain_events(uuid, timestamptz, bigint, bigint)');

-- As before, but the subscription's row is taken first, as whoever fetches, retains or ends it does; the dead letters would take it
-- anyway, after rows of deliveries. Settling waits for these three so, and not for other settling.
CREATE OR REPLACE FUNCTION settle_events(
    of_subscription uuid, at timestamptz, give_up_after integer,
    acknowledged bigint[], rejected bigint[], attempts integer[], again timestamptz[], causes text[]
) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
BEGIN
    PERFORM 1 FROM event_consumers c WHERE c.subscription_id = of_subscription FOR KEY SHARE;
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
