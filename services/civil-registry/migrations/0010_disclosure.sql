-- Cung cấp thông tin hộ tịch: what a question about a person is answered by.
--
-- Expand-only. Going back: drop the functions; they hold nothing.
--
-- Whoever asks whether somebody is of age, alive, married or a parent is told what the registry knows, whichever commune entered it: asked of one
-- commune the answer would depend on where a child was registered, and be wrong. What the functions return is judged (domain/predicate.rs) and shown
-- to nobody; out of it comes yes, no, or that it is not known. The family is read by civil_family (migration 0006), deaths and personal numbers have
-- no wall.

-- What entries say of the birth of these persons. `is_own` marks what their own birth entry says, and what corrects it: that is worth more than what is
-- said of them as a parent or spouse.
CREATE FUNCTION civil_births_told(persons uuid[])
    RETURNS TABLE (person_id uuid, entry_id uuid, is_own boolean, birth_year smallint, birth_month smallint, birth_day smallint,
                   record_time timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT p.person_id, p.entry_id,
           EXISTS (SELECT FROM entries e
                   LEFT JOIN corrections c ON c.corrected_entry_id = e.entry_id AND c.entry_id = p.entry_id
                   WHERE e.subject_id = p.person_id AND e.event = 1 AND (e.entry_id = p.entry_id OR c.entry_id IS NOT NULL)),
           p.birth_year, p.birth_month, p.birth_day, p.record_time
    FROM person_particulars p
    WHERE p.person_id = ANY (persons)
    ORDER BY p.record_time, p.entry_id
$$;
SELECT egov.bypass_scope('civil_births_told(uuid[])');

-- Of these persons those beside whose birth something of these kinds is noted, by any commune, and no later note has cancelled it: then the families and
-- deaths that entries tell of are not the whole truth.
CREATE FUNCTION civil_noted(persons uuid[], kinds smallint[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT DISTINCT e.subject_id
    FROM entries e
    JOIN annotations a ON a.entry_id = e.entry_id AND a.kind = ANY (kinds) AND a.cancels IS NULL
    WHERE e.event = 1 AND e.subject_id = ANY (persons)
      AND NOT EXISTS (SELECT FROM annotations c WHERE c.cancels = a.annotation_id)
$$;
SELECT egov.bypass_scope('civil_noted(uuid[], smallint[])');
