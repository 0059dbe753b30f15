-- Kết hôn: who is married to whom, and what is asked of families before two people marry.
--
-- Expand-only. Going back: drop the functions and the column, and the rows of kind 3 to 5 with the entries that they came from.

-- 3 adoptive parent (cha nuôi, mẹ nuôi), 4 guardian (người giám hộ), 5 spouse (vợ chồng; the person is the husband, the relative the wife).
-- Spouses are entered so far, the others are judged by where they stand.
ALTER TABLE family_relations DROP CONSTRAINT family_relations_kind_check;
ALTER TABLE family_relations ADD CONSTRAINT family_relations_kind_check CHECK (kind BETWEEN 1 AND 5);

-- The annotation by which a relation got this version: a divorce ends a marriage, and what cancels the divorce restores it. The ledger's leaf of
-- the annotation commits to it; without one the version came with the entry.
ALTER TABLE family_relations ADD COLUMN annotation_id uuid REFERENCES annotations;
CREATE INDEX family_relations_by_annotation ON family_relations (annotation_id) WHERE annotation_id IS NOT NULL;

-- The family of some persons as the registry knows it now, whichever communes entered it: a marriage is judged by all of it. Ids and days only;
-- they are judged and never shown. Parents are followed upwards for so many steps; then everybody's spouses who may stand in an in-law or step
-- line, and those spouses' parents. It ends whatever errors the books hold, because the steps are counted.
CREATE FUNCTION civil_family(persons uuid[], steps integer)
    RETURNS TABLE (relation_id uuid, version bigint, kind smallint, person_id uuid, relative_id uuid, valid_from date, valid_to date)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    WITH RECURSIVE up (person_id, step) AS (
        SELECT p, 0 FROM unnest(persons) AS p
        UNION
        SELECT r.relative_id, up.step + 1
        FROM up
        JOIN family_relations r ON r.person_id = up.person_id AND r.kind IN (1, 2, 3)
        WHERE up.step < steps
    ),
    -- The two and their parents: whose spouses may be in-law or step kin.
    near AS (SELECT DISTINCT up.person_id FROM up WHERE up.step <= 1),
    spouses AS (
        SELECT r.relation_id, r.person_id, r.relative_id FROM family_relations r JOIN near n ON n.person_id = r.person_id WHERE r.kind = 5
        UNION
        SELECT r.relation_id, r.person_id, r.relative_id FROM family_relations r JOIN near n ON n.person_id = r.relative_id WHERE r.kind = 5
    ),
    children AS (
        SELECT up.person_id FROM up
        UNION
        SELECT s.person_id FROM spouses s
        UNION
        SELECT s.relative_id FROM spouses s
    ),
    found AS (
        SELECT s.relation_id FROM spouses s
        UNION
        SELECT r.relation_id FROM family_relations r JOIN children c ON c.person_id = r.person_id WHERE r.kind IN (1, 2, 3)
    )
    SELECT DISTINCT ON (r.relation_id) r.relation_id, r.version, r.kind, r.person_id, r.relative_id, r.valid_from, r.valid_to
    FROM found f
    JOIN family_relations r ON r.relation_id = f.relation_id
    ORDER BY r.relation_id, r.version DESC
$$;
SELECT egov.bypass_scope('civil_family(uuid[], integer)');

-- Of these persons those beside whose birth it is noted, by any commune, that their capacity is lost or limited (mất, hạn chế năng lực hành vi
-- dân sự), and no later note has cancelled it.
CREATE FUNCTION civil_capacity_noted(persons uuid[], until date) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT DISTINCT e.subject_id
    FROM entries e
    JOIN annotations a ON a.entry_id = e.entry_id AND a.kind = 9 AND a.cancels IS NULL AND a.note_date <= until
    WHERE e.event = 1 AND e.subject_id = ANY (persons)
      AND NOT EXISTS (SELECT FROM annotations c WHERE c.cancels = a.annotation_id)
$$;
SELECT egov.bypass_scope('civil_capacity_noted(uuid[], date)');

-- A person's entries, whatever they tell of; births again (đăng ký lại) included, which entries_one_birth leaves out.
CREATE INDEX entries_by_subject ON entries (subject_id, event);
