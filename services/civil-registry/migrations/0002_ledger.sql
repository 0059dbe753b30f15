-- The schema `egov`, second part: the ledger (sổ cái bất biến).
--
-- Each service copies this file unchanged as a further migration; a test of the service compares the two. Once released the
-- text is frozen.
--
-- Why: the leaf rows of writes and the records of reads become a Merkle tree (RFC 6962) with signed checkpoints, so that nobody,
-- not even who owns the database, can change, remove or reorder what was written without being found out.
-- Who may see it: no row holds data of a person or a unit, so that none is under a policy of row-level security; the service
-- reads all of it, and writes entries, nodes and checkpoints through one function, under a lease.
-- Roll-back: none. Everything here is additive; the version before runs on it.

CREATE OR REPLACE FUNCTION egov.shared_version() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT 2 $$;


-- Leaves that wait for their place --------------------------------------------------------------------------------------
-- The leaf rows are never updated. That a leaf has no place yet is told by a row here, which comes into being with the leaf, in
-- whatever way it is inserted, and is taken because it is there, never because it is newer than the last one: a transaction that
-- began early and commits late is not lost.

CREATE TABLE egov.unsequenced_leaves (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    leaf_id uuid NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000); -- its rows live for milliseconds

CREATE FUNCTION egov.queue_leaves() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO egov.unsequenced_leaves (leaf_id) SELECT added.leaf_id FROM added;
    RETURN NULL;
END
$$;

CREATE TRIGGER queue_leaves AFTER INSERT ON egov.leaves REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION egov.queue_leaves();

-- Those of before.
INSERT INTO egov.unsequenced_leaves (leaf_id) SELECT leaf_id FROM egov.leaves ORDER BY create_time, leaf_id;


-- The log ---------------------------------------------------------------------------------------------------------------
-- One log a database and epoch. Indexes run from 0 without a gap.

CREATE TABLE egov.ledger_entries (
    epoch integer NOT NULL,
    log_index bigint NOT NULL CHECK (log_index >= 0),
    leaf_id uuid NOT NULL UNIQUE REFERENCES egov.leaves,
    leaf_hash bytea NOT NULL CHECK (octet_length(leaf_hash) = 32),
    PRIMARY KEY (epoch, log_index)
);
-- Who holds a promise asks by the hash. A hash index: equality is all that is asked, and it stays small.
CREATE INDEX ledger_entries_hash ON egov.ledger_entries USING hash (leaf_hash);

-- Roots of complete subtrees of 256, 65,536 … leaves (levels 8, 16 …): with the leaf hashes these are the tiles of C2SP
-- tlog-tiles, from which every proof is made. A node is written once, when its last leaf is.
CREATE TABLE egov.ledger_nodes (
    epoch integer NOT NULL,
    level smallint NOT NULL CHECK (level > 0 AND level % 8 = 0),
    node_index bigint NOT NULL CHECK (node_index >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (epoch, level, node_index)
);

-- What the log said of itself (C2SP tlog-checkpoint), one row a batch.
CREATE TABLE egov.checkpoints (
    epoch integer NOT NULL,
    tree_size bigint NOT NULL CHECK (tree_size > 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (epoch, tree_size)
);

-- Who else saw a checkpoint, and found it to go on from what it saw before (C2SP tlog-cosignature).
CREATE TABLE egov.cosignatures (
    epoch integer NOT NULL,
    tree_size bigint NOT NULL,
    witness text NOT NULL,
    line text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (epoch, tree_size, witness),
    FOREIGN KEY (epoch, tree_size) REFERENCES egov.checkpoints
);
CREATE INDEX cosignatures_witness ON egov.cosignatures (epoch, witness, tree_size);

-- Dấu thời gian: that a checkpoint existed at a time, by an authority of its own (RFC 3161).
CREATE TABLE egov.time_stamps (
    epoch integer NOT NULL,
    tree_size bigint NOT NULL,
    authority text NOT NULL,
    token bytea NOT NULL,
    stamp_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (epoch, tree_size, authority),
    FOREIGN KEY (epoch, tree_size) REFERENCES egov.checkpoints
);

-- Where the log of an epoch goes on from: the last checkpoint of the one before that somebody outside this database knew. The first
-- entry of the new log commits to it.
CREATE TABLE egov.ledger_anchors (
    epoch integer PRIMARY KEY,
    note text NOT NULL,
    create_time timestamptz NOT NULL
);

-- Takes up to `batch` leaves that wait, or the one that is named, in the order of their coming. A leaf that is gone comes as a row of
-- nulls: the sequencer stops at it.
CREATE FUNCTION egov.take_leaves(held_fence bigint, batch integer, only_leaf uuid)
    RETURNS TABLE (taken_id uuid, leaf_id uuid, epoch integer, kind text, resource_id uuid, version bigint, commitment bytea,
                   create_time timestamptz)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM egov.hold_lease('ledger', held_fence);
    RETURN QUERY
        WITH taken AS (
            DELETE FROM egov.unsequenced_leaves q
            WHERE q.place = ANY (CASE WHEN only_leaf IS NULL
                THEN ARRAY(SELECT w.place FROM egov.unsequenced_leaves w ORDER BY w.place LIMIT batch)
                ELSE ARRAY(SELECT w.place FROM egov.unsequenced_leaves w WHERE w.leaf_id = only_leaf) END)
            RETURNING q.place, q.leaf_id
        )
        SELECT t.leaf_id, l.leaf_id, l.epoch, l.kind, l.resource_id, l.version, l.commitment, l.create_time
        FROM taken t LEFT JOIN egov.leaves l ON l.leaf_id = t.leaf_id
        ORDER BY t.place;
END
$$;

-- Appends entries with the nodes that they complete, and the checkpoint over all. Refused unless the fence is the newest, the epoch
-- is the current one, and the entries begin where the last checkpoint ends (SQLSTATE EG003).
CREATE FUNCTION egov.append_entries(
    held_fence bigint, log_epoch integer, first_index bigint, leaf_ids uuid[], leaf_hashes bytea[],
    node_levels smallint[], node_indexes bigint[], node_hashes bytea[], new_root bytea, new_note text, at timestamptz
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = egov, pg_temp
    AS $$
DECLARE
    last_size bigint;
BEGIN
    PERFORM egov.hold_lease('ledger', held_fence);
    SELECT coalesce(max(c.tree_size), 0) INTO last_size FROM egov.checkpoints c WHERE c.epoch = log_epoch;
    IF log_epoch <> egov.current_epoch() OR first_index <> last_size THEN
        RAISE EXCEPTION 'entries from % of epoch % do not follow the last checkpoint, at %', first_index, log_epoch, last_size
            USING ERRCODE = 'EG003';
    END IF;
    INSERT INTO egov.ledger_entries (epoch, log_index, leaf_id, leaf_hash)
    SELECT log_epoch, first_index + e.place - 1, e.leaf_id, e.leaf_hash
    FROM unnest(leaf_ids, leaf_hashes) WITH ORDINALITY AS e (leaf_id, leaf_hash, place);
    INSERT INTO egov.ledger_nodes (epoch, level, node_index, hash)
    SELECT log_epoch, n.level, n.node_index, n.hash
    FROM unnest(node_levels, node_indexes, node_hashes) AS n (level, node_index, hash);
    INSERT INTO egov.checkpoints (epoch, tree_size, root, note, create_time)
    VALUES (log_epoch, first_index + cardinality(leaf_ids), new_root, new_note, at);
END
$$;


-- Witness ---------------------------------------------------------------------------------------------------------------
-- What this database's service has cosigned of others' logs, and what it refused because it contradicts that: two checkpoints of
-- one log that cannot both be true are the evidence.

CREATE TABLE egov.witnessed_checkpoints (
    origin text NOT NULL,
    tree_size bigint NOT NULL CHECK (tree_size >= 0),
    root bytea NOT NULL CHECK (octet_length(root) = 32),
    note text NOT NULL,
    create_time timestamptz NOT NULL,
    PRIMARY KEY (origin, tree_size)
);

CREATE TABLE egov.witness_conflicts (
    conflict_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    origin text NOT NULL,
    reason text NOT NULL,
    tree_size bigint NOT NULL,
    note text NOT NULL,
    kept_size bigint NOT NULL,
    kept_note text NOT NULL,
    create_time timestamptz NOT NULL,
    UNIQUE (origin, note)
);


-- Reads of personal data ------------------------------------------------------------------------------------------------
-- Each record gets an id of its own, under which its leaf stands in the ledger. Records of before have none.

ALTER TABLE egov.read_records ADD COLUMN read_id uuid;
CREATE UNIQUE INDEX read_records_read ON egov.read_records (read_id);


-- What is never changed, and who may do what ----------------------------------------------------------------------------

SELECT egov.append_only(t) FROM unnest(ARRAY[
    'egov.ledger_entries', 'egov.ledger_nodes', 'egov.checkpoints', 'egov.cosignatures', 'egov.time_stamps', 'egov.ledger_anchors',
    'egov.witnessed_checkpoints', 'egov.witness_conflicts'
]::regclass[]) AS t;

DO $grants$
DECLARE
    app name := egov.app_role();
BEGIN
    EXECUTE format('GRANT SELECT ON egov.ledger_entries, egov.ledger_nodes, egov.checkpoints TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON egov.unsequenced_leaves, egov.cosignatures, egov.time_stamps, egov.ledger_anchors,
        egov.witnessed_checkpoints, egov.witness_conflicts TO %I', app);
    EXECUTE format('GRANT EXECUTE ON FUNCTION egov.queue_leaves(), egov.take_leaves(bigint, integer, uuid),
        egov.append_entries(bigint, integer, bigint, uuid[], bytea[], smallint[], bigint[], bytea[], bytea, text, timestamptz)
        TO %I', app);
END
$grants$;
