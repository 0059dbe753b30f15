-- Where the directory stands: a counter that every transaction raises which changes what a door knows by heart (who takes part, by
-- which certificates, what is offered, where). A door that finds it as it was reads nothing else.
--
-- It is raised by deferred triggers, at the commit, when a transaction takes no other lock any more: writers wait for one another
-- for the length of a commit, and nothing appears before a count that was read. Once a transaction.
--
-- Who sees it: anybody; a number. Expand only; a process of the version before raises it without knowing. To go back: drop the
-- triggers, the function and the table.

CREATE TABLE directory_state (
    only_row   boolean PRIMARY KEY CHECK (only_row),
    changes    bigint  NOT NULL,
    changed_by xid8
);
INSERT INTO directory_state VALUES (true, 0, NULL);
SELECT egov.allow_update('directory_state', 'changes', 'changed_by');

CREATE FUNCTION directory_changed() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp
    AS $$
BEGIN
    UPDATE directory_state SET changes = changes + 1, changed_by = pg_current_xact_id()
    WHERE changed_by IS DISTINCT FROM pg_current_xact_id();
    RETURN NULL;
END
$$;

DO $$
DECLARE
    target text;
BEGIN
    FOREACH target IN ARRAY ARRAY['organisations', 'systems', 'system_certificates', 'services', 'endpoints'] LOOP
        EXECUTE format(
            'CREATE CONSTRAINT TRIGGER directory_changed AFTER INSERT OR UPDATE OR DELETE ON %I
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION directory_changed()', target);
    END LOOP;
END
$$;
