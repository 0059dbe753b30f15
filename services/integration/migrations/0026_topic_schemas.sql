-- Schemas of topics (lược đồ của chủ đề), and subscriptions whose end the store of events has not heard of.
--
-- Why: publishers are not all upgraded on one day, so a schema that is replaced is accepted until a day that the change names. A version of a
-- schema may have a JSON Schema by which the data of its events is judged when they are published; a version does not change, so that whoever
-- reads an event knows what it was judged by. And a subscription that ended is forgotten by the store after the commit: where that came to
-- nothing a job does it, and `forget_time` says that it is done.
--
-- A topic without a row here is as before: every version of its schema up to the present one, and nothing judged. The rows are seen by whoever
-- sees the topic. Expand only: an instance of before accepts the present schema alone and judges nothing, and what it ends is forgotten by an
-- instance of now. To go back: drop the table, the function and the column.

CREATE TABLE event_topic_schemas (
    topic_id            uuid    NOT NULL REFERENCES event_topics,
    responsible_unit_id integer NOT NULL,
    schema_uri          text    NOT NULL,
    schema_version      integer NOT NULL CHECK (schema_version > 0),
    -- JSON Schema of draft 2020-12; NULL: nothing is judged.
    json_schema         text,
    -- Of a schema that was replaced: the last day on which it is accepted.
    accept_until        date,
    PRIMARY KEY (topic_id, schema_uri, schema_version)
);
SELECT egov.allow_update('event_topic_schemas', 'accept_until');
ALTER TABLE event_topic_schemas ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON event_topic_schemas FOR ALL
    USING (responsible_unit_id = ANY((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all())
           OR topic_id IN (SELECT g.topic_id FROM event_topic_grants g WHERE g.owner_id = (SELECT egov.scope_owner())))
    WITH CHECK (responsible_unit_id = ANY((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all()));

-- What is known of the versions of a topic's schemas, without the JSON Schemas themselves: it is read with every publication.
CREATE FUNCTION topic_versions(of_topic uuid) RETURNS text
    LANGUAGE sql STABLE SET search_path = public, pg_temp
    AS $$
    SELECT coalesce(json_agg(json_build_object('uri', s.schema_uri, 'version', s.schema_version,
                                               'judged', s.json_schema IS NOT NULL, 'accept_until', s.accept_until)
                             ORDER BY s.schema_uri, s.schema_version), '[]')::text
    FROM event_topic_schemas s WHERE s.topic_id = of_topic
$$;
SELECT egov.allow_execute('topic_versions(uuid)');

ALTER TABLE event_subscriptions ADD COLUMN forget_time timestamptz;
SELECT egov.allow_update('event_subscriptions', 'forget_time');
CREATE INDEX event_subscriptions_to_forget ON event_subscriptions (end_time, subscription_id)
    WHERE end_time IS NOT NULL AND forget_time IS NULL;

-- What was given up of deliveries is counted every minute, and listed by `cargo egov status`; there are few of them among all.
CREATE INDEX deliveries_dead ON deliveries (partner) WHERE state = 6;
