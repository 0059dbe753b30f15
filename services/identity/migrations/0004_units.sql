-- Units through time: what closed, what it became, and reorganisations (sắp xếp đơn vị hành chính) as dated events.
--
-- Expand-only. The version before runs on this schema: it knows the kinds 1 to 5 and never reads the new tables; the
-- tree that it signs lacks the successions, which readers treat as not recorded. Way back: none needed.

-- Huyện, thành phố thuộc tỉnh, thị xã, thị trấn: the kinds of the government of three levels (until 2025-07-01).
ALTER TABLE units DROP CONSTRAINT units_kind_check;
ALTER TABLE units ADD CONSTRAINT units_kind_check CHECK (kind BETWEEN 1 AND 9);

-- Older data may show that a unit is older than the pack that first told of it: then its first day moves back, and its id
-- stays. No code ever means two units on one day; the import sees to that under the lock of the tree.
SELECT egov.allow_update('units', 'effective_from');

-- A member of staff follows the unit into its designated successor.
SELECT egov.allow_update('accounts', 'responsible_unit_id');

-- A reorganisation: planned, then applied on its day, cancelled before, or failed because the tree had changed. One that a
-- pack told of has a source and no plan. Public by law: no row-level policy.
CREATE TABLE reorganisations (
    reorganisation_id uuid        PRIMARY KEY,
    effective_date    date        NOT NULL,
    title             text        NOT NULL CHECK (title <> ''),
    legal_basis       text        NOT NULL,
    status            text        NOT NULL CHECK (status IN ('planned', 'applied', 'cancelled', 'failed')),
    fact_status       text        NOT NULL CHECK (fact_status IN ('confirmed', 'unconfirmed', 'decided')),
    source            text        UNIQUE,
    plan              jsonb,
    problem           text        NOT NULL DEFAULT '',
    version           bigint      NOT NULL CHECK (version >= 1),
    create_time       timestamptz NOT NULL,
    update_time       timestamptz NOT NULL,
    CHECK ((source IS NULL) = (plan IS NOT NULL))
);
CREATE INDEX reorganisations_planned ON reorganisations (effective_date) WHERE status = 'planned';
SELECT egov.allow_update('reorganisations', 'status', 'problem', 'version', 'update_time');

-- Who did what to it, a row a version.
CREATE TABLE reorganisation_history (
    reorganisation_id uuid        NOT NULL REFERENCES reorganisations,
    version           bigint      NOT NULL,
    status            text        NOT NULL,
    actor_id          uuid,                    -- none: the job on its day, or the operator's import
    detail            text        NOT NULL,
    record_time       timestamptz NOT NULL,
    PRIMARY KEY (reorganisation_id, version)
);
SELECT egov.append_only('reorganisation_history');

-- What closed, when, and the one unit that its work follows to (đơn vị kế thừa). Without one nobody recorded a successor:
-- that is an answer too.
CREATE TABLE unit_closings (
    unit_id           int         PRIMARY KEY REFERENCES units,
    reorganisation_id uuid        NOT NULL REFERENCES reorganisations,
    effective_date    date        NOT NULL,
    change            smallint    NOT NULL CHECK (change BETWEEN 0 AND 5),  -- egov.identity.v1.UnitChange
    successor_id      int         REFERENCES units,
    CHECK (successor_id <> unit_id)
);
CREATE INDEX unit_closings_by_reorganisation ON unit_closings (reorganisation_id, unit_id);
SELECT egov.append_only('unit_closings');

-- Every unit that took over a part of a closed one, the designated one among them.
CREATE TABLE unit_successions (
    unit_id      int NOT NULL REFERENCES unit_closings,
    successor_id int NOT NULL REFERENCES units,
    PRIMARY KEY (unit_id, successor_id),
    CHECK (successor_id <> unit_id)
);
CREATE INDEX unit_successions_by_successor ON unit_successions (successor_id, unit_id);
SELECT egov.append_only('unit_successions');

-- (The job that follows looks for grants by unit: index role_grants_by_unit of 0003.)
