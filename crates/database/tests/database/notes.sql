-- A small service for the tests: notes with an owner and a responsible unit, their history, and a list to page through.

CREATE TABLE notes (
    note_id uuid PRIMARY KEY,
    responsible_unit_id integer NOT NULL,
    owner_id uuid,
    assignee_id uuid,
    number bigint NOT NULL,
    body text NOT NULL,
    version bigint NOT NULL,
    create_time timestamptz NOT NULL
);
CREATE INDEX notes_by_unit ON notes (responsible_unit_id, create_time DESC, note_id DESC);
SELECT egov.allow_update('notes', 'responsible_unit_id', 'body', 'version');
SELECT egov.protect('notes');

CREATE TABLE note_history (
    note_id uuid NOT NULL REFERENCES notes,
    version bigint NOT NULL,
    responsible_unit_id integer NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (note_id, version)
);
SELECT egov.protect('note_history');
SELECT egov.append_only('note_history');

CREATE TABLE entries (
    list_id uuid NOT NULL,
    sort_key integer NOT NULL,
    entry_id uuid NOT NULL,
    PRIMARY KEY (list_id, sort_key, entry_id)
);
SELECT egov.allow_delete('entries');

-- LIKE is not leakproof: under the policy its index would never be used.
CREATE FUNCTION find_notes(part text) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT note_id FROM notes
    WHERE body LIKE '%' || part || '%' AND (responsible_unit_id = ANY (egov.scope()) OR egov.scope_all())
$$;
SELECT egov.bypass_scope('find_notes(text)');

-- What the search would be if it forgot its own filter: shows that the role really sees every row.
CREATE FUNCTION count_all_notes() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT count(*) FROM notes $$;
SELECT egov.bypass_scope('count_all_notes()');

-- And what a SECURITY DEFINER function of the owner sees: its caller's scope, because FORCE binds the owner too.
CREATE FUNCTION count_notes_as_owner() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT count(*) FROM notes $$;
SELECT egov.allow_execute('count_notes_as_owner()');
