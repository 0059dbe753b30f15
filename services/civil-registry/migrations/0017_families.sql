-- Giám hộ; nhận cha, mẹ, con; nuôi con nuôi: what their registration and what is guarded of them are judged by.
--
-- Expand-only. Going back: drop the functions, and the entries of these books with the relations that they tell of.
--
-- The relations are those of 0006: a recognition adds a mother (1) or father (2) who is true since the birth, an adoption adoptive parents (3), a
-- guardianship a guardian (4), whose end is a further version by the entry of the end. civil_family follows the first three already.

-- The relations of these kinds that these persons have to others, each as it stands, whichever communes entered it: a ward has one guardian, whichever
-- commune registers. Ids and days only; they are judged and never shown.
CREATE FUNCTION civil_relations_of(persons uuid[], kinds smallint[])
    RETURNS TABLE (relation_id uuid, version bigint, kind smallint, person_id uuid, relative_id uuid, valid_from date, valid_to date)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT DISTINCT ON (r.relation_id) r.relation_id, r.version, r.kind, r.person_id, r.relative_id, r.valid_from, r.valid_to
    FROM family_relations r
    WHERE r.person_id = ANY (persons) AND r.kind = ANY (kinds)
    ORDER BY r.relation_id, r.version DESC
$$;
SELECT egov.bypass_scope('civil_relations_of(uuid[], smallint[])');

-- Of these persons those who have a parent by the book of recognitions (5) or of adoptions (7), of any commune: whose children they are is answered to
-- nobody with yes or no, as beside a note of either.
CREATE FUNCTION civil_parents_guarded(persons uuid[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT DISTINCT r.person_id
    FROM family_relations r
    JOIN entries e ON e.entry_id = r.entry_id
    WHERE r.person_id = ANY (persons) AND e.event IN (5, 7)
$$;
SELECT egov.bypass_scope('civil_parents_guarded(uuid[])');
