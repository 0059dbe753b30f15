-- Khai tử: who is known to be dead, and which marriages a death ends. Cải chính: which entry corrects which.
--
-- Expand-only. Going back: drop the function and the tables, and the entries of deaths and corrections with what they say of persons and relations.

-- Who is dead, since when. Like `personal_numbers` it has no wall: it holds ids and days only, no RPC shows it, and that somebody is dead must be
-- known whichever commune registers: nobody dies twice, and nobody marries who is dead. The first entry of a death writes it; đăng ký lại enters the
-- same death again and finds it here.
CREATE TABLE deaths (
    person_id   uuid        NOT NULL REFERENCES persons,
    day         date        NOT NULL,
    entry_id    uuid        NOT NULL REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    record_time timestamptz NOT NULL,
    CONSTRAINT deaths_one PRIMARY KEY (person_id)
);
CREATE INDEX deaths_by_entry ON deaths (entry_id);
SELECT egov.append_only('deaths');

-- The marriages (5) of a person that have no end yet, whichever communes entered them: a death ends them all. Ids and days only, for the further
-- version that ends them; they are never shown.
CREATE FUNCTION civil_standing_marriages(whom uuid)
    RETURNS TABLE (relation_id uuid, version bigint, person_id uuid, relative_id uuid, valid_from date)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT r.relation_id, r.version, r.person_id, r.relative_id, r.valid_from
    FROM family_relations r
    WHERE r.kind = 5 AND (r.person_id = whom OR r.relative_id = whom) AND r.valid_to IS NULL
      AND NOT EXISTS (SELECT FROM family_relations later WHERE later.relation_id = r.relation_id AND later.version > r.version)
    ORDER BY r.relation_id
$$;
SELECT egov.bypass_scope('civil_standing_marriages(uuid)');

-- Thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc: which entry corrects which, in their order. What becomes otherwise stands in the entry
-- itself; the corrected one stays as it is.
CREATE TABLE corrections (
    entry_id            uuid    PRIMARY KEY REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    responsible_unit_id integer NOT NULL,
    corrected_entry_id  uuid    NOT NULL REFERENCES entries CHECK (corrected_entry_id <> entry_id),
    position            integer NOT NULL CHECK (position > 0),
    CONSTRAINT corrections_in_order UNIQUE (corrected_entry_id, position)
);
SELECT egov.protect('corrections');
SELECT egov.append_only('corrections');
