-- The schema `egov`: what every service's database has in common.
--
-- Each service copies this file unchanged as its first migration (`migrations/0001_shared.sql`); a test of the service
-- compares the two. Once released the text is frozen: sqlx compares checksums. A change comes as a further shared file
-- that services copy as a further migration, and raises egov.shared_version().
--
-- Three roles belong to a service, made by egov_database::provision before the first migration runs:
--   <service>_owner    owns every object and runs the migrations; row-level security binds it as well (FORCE)
--   <service>_app      what the service runs as: SELECT and INSERT, UPDATE only where a migration grants it, never DELETE
--                      of history; everything else it may do is a function below
--   <service>_definer  nobody logs in as it; owns the few functions that must see rows outside the caller's scope
--                      (needs BYPASSRLS; where a managed server does not give that, everything works but egov.bypass_scope)
--
-- Roll-back: none. Everything here is additive; a database that must go is dropped as a whole.

DO $guard$
BEGIN
    IF current_user !~ '^[a-z][a-z0-9_]*_owner$' THEN
        RAISE EXCEPTION 'migrations run as <service>_owner, not as %', current_user;
    END IF;
    IF to_regrole(regexp_replace(current_user, '_owner$', '_app')) IS NULL THEN
        RAISE EXCEPTION 'the role % is missing: provision the database first',
            regexp_replace(current_user, '_owner$', '_app');
    END IF;
END
$guard$;

-- PostgreSQL lets everybody execute a new function. Here nobody but the owner may, until it is granted.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

CREATE SCHEMA egov;

-- The version of this shared schema; a service refuses to start on an older one than it was built for.
CREATE FUNCTION egov.shared_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 1 $$;

-- The role that the service runs as. Derived from the owner of this schema, so that it is the same for every caller.
CREATE FUNCTION egov.app_role() RETURNS name
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog
    AS $$ SELECT regexp_replace(pg_get_userbyid(nspowner), '_owner$', '_app')::name
          FROM pg_namespace WHERE nspname = 'egov' $$;

-- The role that owns functions which see every row (egov.bypass_scope); NULL where there is none.
CREATE FUNCTION egov.definer_role() RETURNS name
    LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog
    AS $$ SELECT r.rolname FROM pg_namespace n
          JOIN pg_roles r ON r.rolname = regexp_replace(pg_get_userbyid(n.nspowner), '_owner$', '_definer')
          WHERE n.nspname = 'egov' $$;


-- Grants ------------------------------------------------------------------------------------------------------------
-- For the migrations of the service, which must not spell out role names. SELECT and INSERT on new tables of schema public
-- are granted by default (end of this file); everything else is granted here, one by one.

-- Lets the service change the named columns; without names, the whole row.
CREATE FUNCTION egov.allow_update(target regclass, VARIADIC columns name[] DEFAULT '{}') RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    EXECUTE format('GRANT UPDATE %s ON %s TO %I',
        (SELECT '(' || string_agg(quote_ident(c), ', ') || ')' FROM unnest(columns) AS c), target, egov.app_role());
END
$$;

-- Lets the service delete rows: for what is neither history nor a record of state, such as expired sessions.
CREATE FUNCTION egov.allow_delete(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    EXECUTE format('GRANT DELETE ON %s TO %I', target, egov.app_role());
END
$$;

-- Lets the service call a function.
CREATE FUNCTION egov.allow_execute(target regprocedure) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', target, egov.app_role());
END
$$;


-- Scope -------------------------------------------------------------------------------------------------------------
-- Whose rows this transaction may see: set by `Database::read` and `Database::write` together with BEGIN and gone with
-- the transaction. Where nothing is set, nothing is visible. Policies call these inside a scalar sub-select, so that they
-- are evaluated once a statement and not once a row (25 times slower, and the index order is lost).

CREATE FUNCTION egov.scope() RETURNS integer[]
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT coalesce(nullif(current_setting('egov.scope_units', true), ''), '{}')::integer[] $$;

CREATE FUNCTION egov.scope_all() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT coalesce(current_setting('egov.scope_all', true), '') = 'on' $$;

CREATE FUNCTION egov.scope_owner() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('egov.scope_owner', true), '')::uuid $$;

CREATE FUNCTION egov.scope_assignee() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('egov.scope_assignee', true), '')::uuid $$;

-- Puts a table behind row-level security, for its owner too, with the one standard policy over those of the columns
-- responsible_unit_id integer, owner_id uuid and assignee_id uuid that it has. A row is visible, and may be written, when
-- its unit, owner or assignee is in scope.
CREATE FUNCTION egov.protect(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
DECLARE
    wrong text;
    visible text;
BEGIN
    WITH held AS (
        SELECT w.*, a.atttypid
        FROM (VALUES
            (1, 'responsible_unit_id', 'integer'::regtype, 'responsible_unit_id = ANY((SELECT egov.scope())::integer[])'),
            (3, 'owner_id', 'uuid'::regtype, 'owner_id = (SELECT egov.scope_owner())'),
            (4, 'assignee_id', 'uuid'::regtype, 'assignee_id = (SELECT egov.scope_assignee())')
        ) AS w (place, name, type, condition)
        JOIN pg_attribute a ON a.attrelid = target AND a.attname = w.name AND NOT a.attisdropped
    )
    SELECT (SELECT format('%s must be of type %s', h.name, h.type) FROM held h WHERE h.atttypid <> h.type LIMIT 1),
           (SELECT string_agg(c.condition, ' OR ' ORDER BY c.place)
            FROM (SELECT place, condition FROM held UNION ALL SELECT 2, '(SELECT egov.scope_all())') AS c)
    INTO wrong, visible
    WHERE EXISTS (SELECT 1 FROM held);
    IF visible IS NULL THEN
        RAISE EXCEPTION '% has none of responsible_unit_id, owner_id, assignee_id: nothing to protect it by', target;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%: %', target, wrong;
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY scope ON %s FOR ALL USING (%s) WITH CHECK (%s)', target, visible, visible);
END
$$;

-- Tables that carry one of the three columns but are not behind forced row-level security. A service's test expects none.
CREATE FUNCTION egov.unprotected_tables() RETURNS SETOF regclass
    LANGUAGE sql STABLE SET search_path = pg_catalog
    AS $$
    SELECT DISTINCT c.oid::regclass
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('egov', 'pg_catalog', 'information_schema')
    JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
         AND a.attname IN ('responsible_unit_id', 'owner_id', 'assignee_id')
    WHERE c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
$$;

-- Hands a function to the role that row-level security does not bind, and lets the service call it. For the rare search
-- whose operator is not leakproof (LIKE, &&, @>), because under a policy its index is never used. Such a function returns
-- ids only, filters by egov.scope() itself, and its ids are read again under the policy. Refused unless the function is
-- SECURITY DEFINER and pins its search_path.
CREATE FUNCTION egov.bypass_scope(target regprocedure) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
DECLARE
    home name;
    careful boolean;
BEGIN
    SELECT n.nspname,
           p.prosecdef AND EXISTS (SELECT 1 FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search\_path=%')
    INTO home, careful
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid = target;
    IF careful IS NOT TRUE THEN
        RAISE EXCEPTION '% must be SECURITY DEFINER with its own SET search_path', target;
    END IF;
    IF egov.definer_role() IS NULL THEN
        RAISE EXCEPTION '% cannot see rows out of scope: this database has no role with BYPASSRLS', target;
    END IF;
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', target);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', target, egov.app_role());
    -- A new owner must be able to create in the schema at the moment of the change, and only then.
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO %I', home, egov.definer_role());
    EXECUTE format('ALTER FUNCTION %s OWNER TO %I', target, egov.definer_role());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM %I', home, egov.definer_role());
END
$$;


-- History -----------------------------------------------------------------------------------------------------------

CREATE FUNCTION egov.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'EG002';
END
$$;

-- Makes a table append-only: the service loses UPDATE, DELETE and TRUNCATE, and a trigger refuses them to the owner as
-- well, so that a careless migration cannot rewrite history unnoticed.
CREATE FUNCTION egov.append_only(target regclass) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM %I, PUBLIC', target, egov.app_role());
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %s
                    FOR EACH ROW EXECUTE FUNCTION egov.refuse_change()', target);
    EXECUTE format('CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION egov.refuse_change()', target);
END
$$;

-- Epochs: everything that is numbered carries the epoch in which it was numbered. A restore from a backup begins a new
-- one, because what was numbered after the backup is lost here but may be known outside.
CREATE TABLE egov.epochs (
    epoch integer PRIMARY KEY,
    reason text NOT NULL,
    start_time timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO egov.epochs (epoch, reason) VALUES (1, 'first start');

-- In PL/pgSQL, as what else each write calls: its plan is kept for the session, that of an SQL function for one call.
CREATE FUNCTION egov.current_epoch() RETURNS integer
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
BEGIN
    RETURN (SELECT max(epoch) FROM egov.epochs);
END
$$;

-- For the operator, after a restore; the service cannot call it.
CREATE FUNCTION egov.begin_epoch(why text) RETURNS integer
    LANGUAGE sql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$ INSERT INTO egov.epochs (epoch, reason) SELECT max(epoch) + 1, why FROM egov.epochs RETURNING epoch $$;


-- Request ids -------------------------------------------------------------------------------------------------------
-- The first answer to each write, kept for thirty days, one partition a day. The service reaches the table only through
-- the functions: no grant lets it read other callers' rows, nor change or delete any.

CREATE TABLE egov.request_ids (
    caller text NOT NULL,
    method text NOT NULL,
    request_id uuid NOT NULL,
    day date NOT NULL,
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    resource_kind text,
    resource_id uuid,
    resource_version bigint,
    answer bytea NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (caller, method, request_id, day)
) PARTITION BY RANGE (day);
COMMENT ON COLUMN egov.request_ids.request_hash IS 'SHA-256 of the canonically re-encoded request message';
COMMENT ON COLUMN egov.request_ids.answer IS 'the answer, sealed with the keyring for this caller, method and request id';

-- Creates the partition of a day if it is missing. Attaching takes a lock that lets reads and writes go on.
CREATE FUNCTION egov.add_request_day(wanted date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    part text := 'request_ids_' || to_char(wanted, 'YYYYMMDD');
BEGIN
    IF to_regclass('egov.' || part) IS NOT NULL THEN
        -- Who has just added it may be between its commit and telling the other sessions that the parent has changed: a
        -- write would see the table and still find no partition. Its lock on the table lasts until it has told them, and
        -- asking for the table's size waits for that lock.
        PERFORM pg_relation_size(to_regclass('egov.' || part));
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('egov.request_ids', 0));
    -- Not to_regclass again: it answers from a cache that waiting for an advisory lock does not refresh. A query does.
    IF EXISTS (SELECT 1 FROM pg_catalog.pg_class AS c
               WHERE c.relname = part AND c.relnamespace = 'egov'::regnamespace) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE egov.%I (LIKE egov.request_ids INCLUDING ALL)', part);
    EXECUTE format('ALTER TABLE egov.request_ids ATTACH PARTITION egov.%I FOR VALUES FROM (%L) TO (%L)',
                   part, wanted, wanted + 1);
END
$$;

-- Whether this session finds the partition of a day. PostgreSQL keeps a list of a table's partitions in each session, and does
-- not lock out who attaches one while it makes the list: what is committed in the middle can stay unknown until the table changes
-- again. The plan of a question about the day comes from the same list as the place of a new row.
CREATE FUNCTION egov.knows_request_day(wanted date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT FROM egov.request_ids WHERE day = %L', wanted) LOOP
        IF strpos(line, 'request_ids_' || to_char(wanted, 'YYYYMMDD')) > 0 THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;

-- Creates the partitions from today to seven days ahead and drops those older than thirty days. `today` is the caller's
-- calendar, but nothing younger than thirty days by the server's own clock is dropped. A drop that would have to wait
-- gives up after half a second, because writes queue up behind it, and is tried again with the next call. Returns how many days were dropped.
CREATE FUNCTION egov.keep_request_days(today date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp SET lock_timeout = '500ms'
    AS $$
DECLARE
    step integer;
    old record;
    dropped integer := 0;
BEGIN
    FOR step IN 0..7 LOOP
        PERFORM egov.add_request_day(today + step);
    END LOOP;
    FOR old IN
        SELECT c.relname
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'egov.request_ids'::regclass
          -- Names in their order are days in their order. Reading the day out of the name would fail on whatever other name the
          -- plan comes across first.
          AND c.relname::text COLLATE "C" < 'request_ids_' || to_char(least(today, current_date) - 30, 'YYYYMMDD')
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE egov.%I', old.relname);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Claims a request id for this transaction: a second, simultaneous request with the same key waits here until the first
-- has committed or rolled back, and then sees its answer. Returns the stored row, or none when the request is new.
CREATE FUNCTION egov.claim_request(of_caller text, of_method text, of_request uuid)
    RETURNS TABLE (request_hash bytea, answer bytea, resource_kind text, resource_id uuid, resource_version bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp ROWS 1
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(concat_ws(E'\x1f', of_caller, of_method, of_request::text), 0));
    -- A statement of its own, so that it sees what was committed while the lock was awaited.
    RETURN QUERY
        SELECT r.request_hash, r.answer, r.resource_kind, r.resource_id, r.resource_version
        FROM egov.request_ids r
        WHERE r.caller = of_caller AND r.method = of_method AND r.request_id = of_request;
END
$$;

-- Stores the answer to a claimed request, as the last statement before the commit.
CREATE FUNCTION egov.record_answer(
    of_caller text, of_method text, of_request uuid, hash bytea, sealed bytea,
    kind text, resource uuid, version bigint, at timestamptz
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    on_day date := (at AT TIME ZONE 'Asia/Ho_Chi_Minh')::date;
BEGIN
    -- Once a session and day: a day that was found stays for a month. A transaction that is rolled back forgets it again.
    IF current_setting('egov.request_day', true) IS DISTINCT FROM on_day::text THEN
        PERFORM egov.add_request_day(on_day);
        IF NOT egov.knows_request_day(on_day) THEN
            -- A change that changes nothing: this session makes its list anew, and under this lock nobody attaches meanwhile.
            ALTER TABLE egov.request_ids ALTER COLUMN day SET STATISTICS -1;
            -- When the id was claimed, an answer of that day was not seen either.
            IF EXISTS (SELECT FROM egov.request_ids AS r
                       WHERE r.caller = of_caller AND r.method = of_method AND r.request_id = of_request) THEN
                RAISE EXCEPTION 'this request was answered meanwhile' USING ERRCODE = 'serialization_failure';
            END IF;
        END IF;
        PERFORM set_config('egov.request_day', on_day::text, false);
    END IF;
    INSERT INTO egov.request_ids
        (caller, method, request_id, day, request_hash, resource_kind, resource_id, resource_version, answer, create_time)
    VALUES (of_caller, of_method, of_request, on_day, hash, kind, resource, version, sealed, at);
END
$$;


-- Leases ------------------------------------------------------------------------------------------------------------
-- Who does a piece of background work. The fence grows with every holder; a write under a lease presents its fence, and
-- an old one is refused. Expiry is judged by the database's clock alone, because holders' clocks differ.

CREATE TABLE egov.leases (
    name text PRIMARY KEY,
    holder uuid NOT NULL,
    fence bigint NOT NULL,
    expire_time timestamptz NOT NULL
);

-- Takes the lease if nobody holds it; returns the new fence, or NULL.
CREATE FUNCTION egov.acquire_lease(wanted text, new_holder uuid, ttl interval) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
    INSERT INTO egov.leases AS l (name, holder, fence, expire_time)
    VALUES (wanted, new_holder, 1, clock_timestamp() + ttl)
    ON CONFLICT (name) DO UPDATE
        SET holder = excluded.holder, fence = l.fence + 1, expire_time = clock_timestamp() + ttl
        WHERE l.expire_time <= clock_timestamp()
    RETURNING fence
$$;

-- Prolongs a lease that is still held and not yet expired; false when it is lost.
CREATE FUNCTION egov.renew_lease(held text, held_fence bigint, ttl interval) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
    WITH renewed AS (
        UPDATE egov.leases SET expire_time = clock_timestamp() + ttl
        WHERE name = held AND fence = held_fence AND expire_time > clock_timestamp()
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM renewed)
$$;

-- Gives a lease back. The row stays, so that the fence goes on growing.
CREATE FUNCTION egov.release_lease(held text, held_fence bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$ UPDATE egov.leases SET expire_time = '-infinity' WHERE name = held AND fence = held_fence $$;

-- Refuses a stale fence, and otherwise keeps anybody from taking the lease over until this transaction ends.
CREATE FUNCTION egov.hold_lease(held text, held_fence bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
BEGIN
    PERFORM 1 FROM egov.leases WHERE name = held AND fence = held_fence FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lease % is no longer held with fence %', held, held_fence USING ERRCODE = 'EG001';
    END IF;
END
$$;


-- Events ------------------------------------------------------------------------------------------------------------
-- A write puts its events into the outbox. The relay, holder of the lease `relay`, moves whatever rows are present into
-- the log and gives them offsets without gaps. Events carry ids, codes and states, no personal data.

CREATE TABLE egov.outbox (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL UNIQUE,
    aggregate_kind text NOT NULL,
    aggregate_id uuid NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    create_time timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000); -- its rows live for milliseconds
CREATE INDEX outbox_aggregate ON egov.outbox (aggregate_kind, aggregate_id, version);

CREATE TABLE egov.event_log (
    epoch integer NOT NULL,
    log_offset bigint NOT NULL,
    event_id uuid NOT NULL UNIQUE,
    aggregate_kind text NOT NULL,
    aggregate_id uuid NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    create_time timestamptz NOT NULL,
    relay_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (epoch, log_offset)
);
CREATE INDEX event_log_aggregate ON egov.event_log (aggregate_kind, aggregate_id, version);

-- Moves up to `batch` rows (and, with them, earlier versions of the same aggregates) from the outbox to the log. Rows are
-- taken because they are there, never because they are newer than the last one: a transaction that began earlier may
-- commit later. Returns how many were moved.
CREATE FUNCTION egov.relay(held_fence bigint, batch integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    this_epoch integer;
    head bigint;
    moved bigint;
BEGIN
    PERFORM egov.hold_lease('relay', held_fence);
    -- Statements of their own after the lock: they see all that the previous holder committed.
    this_epoch := egov.current_epoch();
    SELECT coalesce(max(log_offset) + 1, 0) INTO head FROM egov.event_log WHERE epoch = this_epoch;
    WITH first AS (
        SELECT seq, aggregate_kind, aggregate_id, version FROM egov.outbox ORDER BY seq LIMIT batch
    ), chosen AS (
        SELECT seq FROM first
        UNION
        SELECT earlier.seq
        FROM first f
        JOIN egov.outbox earlier ON earlier.aggregate_kind = f.aggregate_kind
             AND earlier.aggregate_id = f.aggregate_id AND earlier.version < f.version
    ), taken AS (
        -- An array, not a join: whatever the backlog, the rows are found by their key.
        DELETE FROM egov.outbox o WHERE o.seq = ANY (ARRAY(SELECT seq FROM chosen))
        RETURNING o.*
    ), placed AS (
        -- Order of arrival, except that within an aggregate versions never go backwards.
        SELECT t.*, max(t.seq) OVER (PARTITION BY t.aggregate_kind, t.aggregate_id ORDER BY t.version, t.seq) AS turn
        FROM taken t
    )
    INSERT INTO egov.event_log
        (epoch, log_offset, event_id, aggregate_kind, aggregate_id, version, kind, payload, create_time)
    SELECT this_epoch, head - 1 + row_number() OVER (ORDER BY p.turn, p.version, p.seq),
           p.event_id, p.aggregate_kind, p.aggregate_id, p.version, p.kind, p.payload, p.create_time
    FROM placed p;
    GET DIAGNOSTICS moved = ROW_COUNT;
    RETURN moved;
END
$$;


-- Ledger leaves -----------------------------------------------------------------------------------------------------
-- Each write commits to what it wrote: HMAC-SHA256 with a random salt as its key. Without the salt the commitment says
-- nothing about the data, so that leaves can be shown to others, and deleting the salt erases.

CREATE TABLE egov.leaves (
    leaf_id uuid PRIMARY KEY,
    epoch integer NOT NULL DEFAULT egov.current_epoch(),
    kind text NOT NULL,
    resource_id uuid NOT NULL,
    version bigint NOT NULL,
    commitment bytea NOT NULL CHECK (octet_length(commitment) = 32),
    create_time timestamptz NOT NULL,
    UNIQUE (kind, resource_id, version)
);

CREATE TABLE egov.leaf_salts (
    leaf_id uuid PRIMARY KEY REFERENCES egov.leaves,
    salt bytea NOT NULL CHECK (octet_length(salt) = 32)
);

-- That and when a resource's salts were deleted; the fact of an erasure is itself history.
CREATE TABLE egov.leaf_erasures (
    erasure_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    resource_id uuid NOT NULL,
    salts bigint NOT NULL,
    erase_time timestamptz NOT NULL
);

-- Deletes the salts of all leaves of a resource and records it; returns how many there were.
CREATE FUNCTION egov.erase_leaves(of_kind text, of_resource uuid, at timestamptz) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
    WITH gone AS (
        DELETE FROM egov.leaf_salts s USING egov.leaves l
        WHERE l.leaf_id = s.leaf_id AND l.kind = of_kind AND l.resource_id = of_resource
        RETURNING 1
    )
    INSERT INTO egov.leaf_erasures (kind, resource_id, salts, erase_time)
    SELECT of_kind, of_resource, count(*), at FROM gone
    RETURNING salts
$$;


-- Numbers -----------------------------------------------------------------------------------------------------------
-- Gapless counters, one for each agency, register and period (số thứ tự trong sổ). The row stays locked until the
-- transaction ends, which is what makes a number come back when it is not used; hence the last write before the commit.

CREATE TABLE egov.counters (
    agency text NOT NULL,
    register text NOT NULL,
    period text NOT NULL,
    last_number bigint NOT NULL CHECK (last_number > 0),
    epoch integer NOT NULL,
    PRIMARY KEY (agency, register, period)
) WITH (fillfactor = 50); -- one row is updated over and over: leave room for it on its page

CREATE FUNCTION egov.next_number(of_agency text, of_register text, of_period text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    given bigint;
BEGIN
    INSERT INTO egov.counters AS c (agency, register, period, last_number, epoch)
    VALUES (of_agency, of_register, of_period, 1, egov.current_epoch())
    ON CONFLICT (agency, register, period) DO UPDATE
        SET last_number = c.last_number + 1, epoch = excluded.epoch
    RETURNING last_number INTO given;
    RETURN given;
END
$$;

-- For the operator, after a restore: numbers up to `used` are proved by receipts and must not be given out again.
CREATE FUNCTION egov.burn_numbers(of_agency text, of_register text, of_period text, used bigint) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
    INSERT INTO egov.counters AS c (agency, register, period, last_number, epoch)
    VALUES (of_agency, of_register, of_period, used, egov.current_epoch())
    ON CONFLICT (agency, register, period) DO UPDATE
        SET last_number = greatest(c.last_number, excluded.last_number), epoch = excluded.epoch
    RETURNING last_number
$$;


-- Reads of personal data --------------------------------------------------------------------------------------------
-- Who read whose data, when and for what purpose, written before the data leaves. A list is one record with its subjects.

CREATE TABLE egov.read_records (
    record_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reader text NOT NULL,
    kind text NOT NULL,
    purpose text,
    method text NOT NULL,
    subjects uuid[] NOT NULL,
    resources text[] NOT NULL,
    read_time timestamptz NOT NULL
);
-- The person asks who has read their data: subjects @> ARRAY[person].
CREATE INDEX read_records_subjects ON egov.read_records USING gin (subjects);
CREATE INDEX read_records_time ON egov.read_records (read_time);


-- What is never changed, and who may do what ------------------------------------------------------------------------

SELECT egov.append_only(t) FROM unnest(ARRAY[
    'egov.epochs', 'egov.request_ids', 'egov.event_log', 'egov.leaves', 'egov.leaf_erasures', 'egov.read_records'
]::regclass[]) AS t;

DO $grants$
DECLARE
    app name := egov.app_role();
    definer name := egov.definer_role();
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA egov, public TO %I', app);

    EXECUTE format('GRANT SELECT ON egov.epochs, egov.event_log, egov.counters, egov.leases, egov.leaf_erasures TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON egov.outbox, egov.leaves, egov.leaf_salts, egov.read_records TO %I', app);

    EXECUTE format('GRANT EXECUTE ON FUNCTION
        egov.shared_version(), egov.app_role(), egov.current_epoch(),
        egov.scope(), egov.scope_all(), egov.scope_owner(), egov.scope_assignee(), egov.unprotected_tables(),
        egov.keep_request_days(date),
        egov.claim_request(text, text, uuid),
        egov.record_answer(text, text, uuid, bytea, bytea, text, uuid, bigint, timestamptz),
        egov.acquire_lease(text, uuid, interval), egov.renew_lease(text, bigint, interval),
        egov.release_lease(text, bigint), egov.hold_lease(text, bigint),
        egov.relay(bigint, integer), egov.erase_leaves(text, uuid, timestamptz), egov.next_number(text, text, text)
        TO %I', app);
    -- What the service's own migrations create in schema public from here on.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO %I', app);
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO %I', app);

    IF definer IS NOT NULL THEN
        EXECUTE format('GRANT USAGE ON SCHEMA egov, public TO %I', definer);
        EXECUTE format('GRANT EXECUTE ON FUNCTION
            egov.scope(), egov.scope_all(), egov.scope_owner(), egov.scope_assignee() TO %I', definer);
        EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO %I', definer);
    END IF;
END
$grants$;

SELECT egov.add_request_day(current_date + ahead) FROM generate_series(0, 7) AS ahead;
